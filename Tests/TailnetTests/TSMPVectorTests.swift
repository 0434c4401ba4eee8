import Foundation
import NetTypes
import NetWire
import Tailnet
import TestSupport
import Testing
import WarrenCrypto

private let file = Result { try VectorFile("tsmp", in: .module).cases }

@Suite("TSMPMessage against golden packets")
struct TSMPVectorTests {
    private static func token(_ value: JSONValue) throws -> UInt64 {
        let octets = try #require(value["data"]?.hex)
        try #require(octets.count == 8)
        return octets.span.bigEndian(at: 0)
    }

    private static func message(_ value: JSONValue) throws -> TSMPMessage {
        switch try #require(value.kind?.string) {
        case "ping": return .ping(try token(value))
        case "pong": return .pong(try token(value), peerAPIPort: UInt16(value.peerapi_port?.int ?? 0))
        case "reject":
            let source = try #require(value.flow_src?.string.flatMap { AddressPort($0) })
            let destination = try #require(value.flow_dst?.string.flatMap { AddressPort($0) })
            return .reject(
                TSMPRejection(
                    ipProtocol: IPProtocol(rawValue: UInt8(try #require(value.flow_proto?.int))),
                    reason: TSMPRejectReason(rawValue: try #require(value.reason?.string?.utf8.first)),
                    sourcePort: source.port,
                    destinationPort: destination.port,
                    maybeBroken: value.maybe_broken?.bool ?? false
                )
            )
        default: return .discoKey(try #require(value.disco_key?.string.flatMap { DiscoPublicKey(text: $0) }))
        }
    }

    @Test(arguments: try file.get())
    func `reads and writes every packet`(_ vector: VectorCase) throws {
        let value = vector.value
        let packet = try #require(value["packet"]?.hex)
        let source = try #require((value.src ?? value.ip_src)?.string.flatMap { IPAddress($0) })
        let destination = try #require((value.dst ?? value.ip_dst)?.string.flatMap { IPAddress($0) })
        let expected = try Self.message(value)

        let parsed = try ParsedPacket(parsing: packet)
        #expect(parsed.source == source)
        #expect(parsed.destination == destination)
        let message = try TSMPMessage(parsing: packet, as: parsed)
        #expect(message == expected)
        if case .reject(let rejection) = message {
            #expect(rejection.flowSource(in: parsed).description == value.flow_src?.string)
            #expect(rejection.flowDestination(in: parsed).description == value.flow_dst?.string)
        }
        // A pong carries the inverse of its ping's identification, which is 0 in the file.
        let identification: UInt32 = if case .pong = message { .max } else { 0 }
        #expect(expected.packet(from: source, to: destination, identification: identification) == packet)
    }

    @Test func `answers each ping with the pong that follows it`() throws {
        var ping: [UInt8]?
        var pongCount = 0
        for vector in try file.get() {
            let value = vector.value
            let packet = try #require(value["packet"]?.hex)
            switch value.kind?.string {
            case "ping": ping = packet
            case "pong":
                let question = try #require(ping)
                let own = try #require(value.src?.string.flatMap { IPAddress($0) })
                let responder = TSMPResponder(addresses: [own], peerAPIPort: UInt16(value.peerapi_port?.int ?? 0))
                #expect(responder.answer(to: question) == packet)
                pongCount += 1
            default: break
            }
        }
        #expect(pongCount > 0)
    }
}
