import Foundation
import NetTypes
import NetWire
import TestSupport
import Testing

@Suite("STUNMessage: golden vectors")
struct STUNMessageVectorTests {
    private static let vectors = Result { try VectorFile("stun", in: Bundle.module).cases }

    @Test func `every case decodes as told, and what we send is encoded octet by octet`() throws {
        for vector in try Self.vectors.get() {
            let packet = try #require(vector.value.packet?.hex)
            let parsed = Result { () throws(WireError) in try STUNMessage(parsing: packet.span) }
            switch vector.value.kind?.string {
            case "request":
                guard vector.value.accepted?.bool == true else {
                    #expect(throws: WireError.self, "\(vector)") { try parsed.get() }
                    continue
                }
                let octets = try #require(vector.value.txid?.hex)
                let id = STUNTransactionID(octets.span, at: 0)
                #expect(try parsed.get() == .bindingRequest(id), "\(vector)")
                #expect(STUNMessage.bindingRequest(id).bytes == packet, "\(vector)")
                let isRecognized = STUNMessage.recognizes(packet.span)
                #expect(isRecognized)
            case "response":
                guard vector.value.ok?.bool == true else {
                    #expect(throws: WireError.self, "\(vector)") { try parsed.get() }
                    continue
                }
                let octets = try #require(vector.value.txid?.hex)
                let id = STUNTransactionID(octets.span, at: 0)
                let address = try #require(vector.value.address?.string.flatMap { AddressPort($0) })
                #expect(try parsed.get() == .bindingResponse(id, address), "\(vector)")
                let encoded = STUNMessage.bindingResponse(id, address).bytes
                #expect(try STUNMessage(parsing: encoded.span) == .bindingResponse(id, address))
                if vector.description.contains("] response ") { #expect(encoded == packet, "\(vector)") }
            default: Issue.record("unknown kind in \(vector)")
            }
        }
    }

    @Test func `no truncation or garbage traps`() throws {
        for vector in try Self.vectors.get() {
            torment(try #require(vector.value.packet?.hex)) { _ = try? STUNMessage(parsing: $0) }
        }
    }

    @Test func `a response for an address mapped into IPv6 reports IPv4`() throws {
        let id = STUNTransactionID(high: 1, low: 2)
        let ipv4 = IPv4Address(203, 0, 113, 5)
        let message = STUNMessage.bindingResponse(id, AddressPort(.v6(IPv6Address(mapping: ipv4)), port: 7))
        #expect(message.byteCount == 32)
        #expect(try STUNMessage(parsing: message.bytes.span) == .bindingResponse(id, AddressPort(.v4(ipv4), port: 7)))
    }
}
