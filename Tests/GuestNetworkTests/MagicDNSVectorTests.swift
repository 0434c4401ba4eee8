import Foundation
import GuestNetwork
import NetTypes
import NetWire
import TestSupport
import Testing

@Suite("MagicDNSResponder: golden vectors")
struct MagicDNSVectorTests {
    private static let corpResolver = DNSUpstream("192.0.2.1")
    private static let globalResolver = DNSUpstream("192.0.2.2")
    private static let serial: UInt32 = 1_763_862_000

    /// The table that the file's notes describe.
    private static func zone(_ file: VectorFile, withDefaultRoute: Bool) throws -> DNSZone {
        let notes = try #require(file.document.notes)
        var addresses: [DNSName: [IPAddress]] = [:]
        var names: [IPAddress: DNSName] = [:]
        for (name, values) in try #require(notes.hosts?.object) {
            let name = try #require(DNSName(name))
            addresses[name] = (values.array ?? []).compactMap { $0.string.flatMap { IPAddress($0) } }
            // Nodes own their addresses; extra records only point to them.
            guard name.description.hasSuffix(".tail1234.ts.net.") else { continue }
            for address in addresses[name] ?? [] { names[address] = name }
        }
        var authoritative: Set<DNSName> = []
        for entry in try #require(notes.local_domains_authoritative?.array) {
            let text = try #require(entry.string)
            if text.contains(" .. ") {
                for octet in 64...127 { authoritative.insert(try #require(DNSName("\(octet).100.in-addr.arpa"))) }
            } else {
                authoritative.insert(try #require(DNSName(text)))
            }
        }
        var routes: [DNSName: [DNSUpstream]] = [:]
        for (name, resolver) in try #require(notes.routes?.object) where withDefaultRoute || name != "." {
            let isCorp = resolver.string?.hasPrefix("corp") == true
            routes[try #require(DNSName(name))] = [isCorp ? corpResolver : globalResolver]
        }
        let owners = try #require(notes.subdomain_hosts?.array).compactMap { $0.string.flatMap { DNSName($0) } }
        return DNSZone(
            addresses: addresses,
            names: names,
            subdomainOwners: Set(owners),
            authoritative: authoritative,
            routes: routes
        )
    }

    @Test func `every query is answered, refused or forwarded as told`() throws {
        let file = try VectorFile("magicdns", in: Bundle.module)
        var count = 0
        for vector in file.cases {
            let value = vector.value
            let responder = MagicDNSResponder(
                zone: try Self.zone(file, withDefaultRoute: value.with_default_route?.bool ?? false)
            )
            let query = try #require(value.query?.hex)
            let verdict = responder.answer(query.span) { Self.serial }
            if value.outcome?.string == "forwarded" {
                let upstream = value.upstream?.string == "corp-resolver" ? Self.corpResolver : Self.globalResolver
                let name = try #require(value.qname?.string.flatMap { DNSName($0) })
                #expect(verdict == .resolve(name, [upstream]), "\(vector)")
            } else {
                guard case .reply(let bytes) = verdict else {
                    Issue.record("\(vector) was forwarded")
                    continue
                }
                try compare(bytes, with: vector, query: query)
            }
            count += 1
        }
        #expect(count == file.cases.count)
    }

    private func compare(_ bytes: [UInt8], with vector: VectorCase, query: [UInt8]) throws {
        let value = vector.value
        if let expected = value.response?.hex {
            #expect(bytes == expected, "\(vector)")
            return
        }
        let response = try DNSMessage(parsing: bytes.span)
        #expect(response.identifier == 0x1234)
        #expect(response.flags.isResponse)
        #expect(Int(response.flags.responseCode.rawValue) == value.rcode?.int, "\(vector)")
        #expect(response.flags.isAuthoritative == value.flags?.aa?.bool, "\(vector)")
        #expect(response.flags.recursionAvailable == value.flags?.ra?.bool, "\(vector)")
        #expect(response.flags.recursionDesired == value.flags?.rd?.bool, "\(vector)")
        #expect(response.flags.isTruncated == value.flags?.tc?.bool, "\(vector)")
        #expect(response.questions.first?.name.description == value.qname?.string, "\(vector)")
        #expect(response.questions.first.map { Int($0.type.rawValue) } == value.qtype?.int, "\(vector)")
        compare(response.answers, with: value.answers?.array ?? [], vector)
        compare(response.authorities, with: value.authorities?.array ?? [], vector)
        #expect(response.additionals.isEmpty)
    }

    private func compare(_ records: [DNSRecord], with expected: [JSONValue], _ vector: VectorCase) {
        #expect(records.count == expected.count, "\(vector)")
        for (record, value) in zip(records, expected) {
            #expect(record.name.description == value.name?.string, "\(vector)")
            #expect(Int(record.lifetimeSeconds) == value.ttl?.int, "\(vector)")
            #expect(Int(record.type.rawValue) == value.type?.int, "\(vector)")
            switch record.content {
            case .ipv4(let address): #expect(address.description == value["data"]?.string, "\(vector)")
            case .ipv6(let address): #expect(address.description == value["data"]?.string, "\(vector)")
            case .pointer(let name): #expect(name.description == value["data"]?.string, "\(vector)")
            case .startOfAuthority(let authority):
                #expect(authority.primaryServer.description == value.soa?.ns?.string, "\(vector)")
                #expect(authority.mailbox.description == value.soa?.mbox?.string, "\(vector)")
                #expect(authority.serial == Self.serial)
                #expect(Int(authority.refreshSeconds) == value.soa?.refresh?.int)
                #expect(Int(authority.retrySeconds) == value.soa?.retry?.int)
                #expect(Int(authority.expireSeconds) == value.soa?.expire?.int)
                #expect(Int(authority.minimumSeconds) == value.soa?.minttl?.int)
            case .other: Issue.record("\(vector): unexpected record")
            }
        }
    }
}
