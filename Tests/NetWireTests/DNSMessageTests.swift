import NetTypes
import NetWire
import Testing

@Suite("DNSMessage (RFC 1035)")
struct DNSMessageTests {
    private let query = """
        1234 0100 0001 0000 0000 0001 05 616c706861 08 7461696c31323334 02 7473 03 6e6574 00 0001 0001
        00 0029 04d0 0000 0000 0000
        """

    @Test func `a query with EDNS survives both ways`() throws {
        let bytes = try octets(query)
        let message = try DNSMessage(parsing: bytes.span)
        #expect(message.questions.first?.name.description == "alpha.tail1234.ts.net.")
        #expect(message.flags.recursionDesired && !message.flags.isResponse)
        #expect(message.additionals.first?.type == .opt && message.additionals.first?.recordClass == 1232)
        #expect(message.bytes == bytes)
        torment(bytes) { _ = try? DNSMessage(parsing: $0) }
        for count in 0..<bytes.count {
            #expect(throws: WireError.self) { try DNSMessage(parsing: bytes.span.extracting(0..<count)) }
        }
    }

    @Test func `a response with every kind of record survives the round trip`() throws {
        let name = try #require(DNSName("Alpha.tail1234.ts.net."))
        let zone = try #require(DNSName("tail1234.ts.net"))
        let authority = DNSStartOfAuthority(
            primaryServer: zone,
            mailbox: zone,
            serial: 7,
            refreshSeconds: 10,
            retrySeconds: 11,
            expireSeconds: 12,
            minimumSeconds: 13
        )
        let contents: [DNSRecord.Content] = [
            .ipv4(IPv4Address(100, 64, 0, 2)), .ipv6(TailnetAddresses.serviceIPv6), .pointer(.root),
            .pointer(zone), .startOfAuthority(authority), .other(.txt, [3, 65, 66, 67]),
        ]
        var flags = DNSFlags(rawValue: 0)
        flags.isResponse = true
        flags.isAuthoritative = true
        flags.responseCode = .nameError
        let message = DNSMessage(
            identifier: 9,
            flags: flags,
            questions: [DNSQuestion(name: name, type: .any)],
            answers: contents.map { DNSRecord(name: name, lifetimeSeconds: 5, content: $0) },
            authorities: [DNSRecord(name: zone, lifetimeSeconds: 10, content: .startOfAuthority(authority))]
        )
        let bytes = message.bytes
        #expect(try DNSMessage(parsing: bytes.span) == message)
        #expect(flags.rawValue == 0x8403)
        torment(bytes) { _ = try? DNSMessage(parsing: $0) }
    }

    @Test(arguments: [
        "c000", "c00c", "c00e 00", "01 61 c00c", "ffff", "40 00", "80 00", "3f 61", "03 61 2e 62 00", "c0",
    ])
    func `loops, forward pointers and bad labels are refused`(name: String) throws {
        let bytes = try octets("1234 0100 0001 0000 0000 0000" + name + "0001 0001")
        #expect(throws: WireError.self) { try DNSMessage(parsing: bytes.span) }
    }

    @Test func `a chain of pointers that only goes back is followed, to 255 octets at most`() throws {
        // "a", then "b" and a pointer to it, and so on: every name is one label longer.
        var bytes = try octets("1234 0100 0080 0000 0000 0000 01 61 00 0001 0001")
        var last = 12
        for _ in 1..<128 {
            let here = bytes.count
            bytes += try octets("01 62") + [UInt8(0xC0 | last >> 8), UInt8(last & 255), 0, 1, 0, 1]
            last = here
        }
        #expect(throws: WireError.malformed) { try DNSMessage(parsing: bytes.span) }
        bytes[5] = 127
        let message = try DNSMessage(parsing: bytes.span)
        #expect(message.questions.last?.name.wire.count == 255)
    }

    @Test func `counts that the message cannot hold reserve nothing`() throws {
        let bytes = try octets("1234 8180 0000 ffff ffff ffff")
        #expect(throws: WireError.truncated) { try DNSMessage(parsing: bytes.span) }
    }

    @Test func `names compare without case and by labels`() throws {
        let name = try #require(DNSName("A.Corp.Example."))
        #expect(name == DNSName("a.corp.example"))
        #expect(name.hashValue == DNSName("a.corp.example")?.hashValue)
        #expect(name.isWithin(try #require(DNSName("corp.EXAMPLE"))) && name.isWithin(.root) && name.isWithin(name))
        #expect(!name.isWithin(try #require(DNSName("orp.example"))))
        #expect(try #require(DNSName("xcorp.example")).isWithin(try #require(DNSName("corp.example"))) == false)
        #expect(name.parent == DNSName("corp.example") && name.labels == ["a", "corp", "example"])
        #expect(DNSName("a..b") == nil && DNSName(String(repeating: "a", count: 64)) == nil && DNSName("") == .root)
        #expect(DNSName(repeatElement("abcdefg", count: 32).joined(separator: ".")) == nil)
    }
}
