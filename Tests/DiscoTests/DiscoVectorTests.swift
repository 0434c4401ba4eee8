import Foundation
import NetTypes
import TestSupport
import Testing
import WarrenCrypto

@testable import Disco

@Suite("Disco (vectors)") struct DiscoVectorTests {
    static let cases = (try? VectorFile("disco", in: Bundle.module))?.cases ?? []

    @Test func `the file holds cases`() {
        #expect(Self.cases.count >= 29)
    }

    @Test(arguments: cases) func `opens or refuses the packet`(vector: VectorCase) throws {
        let value = vector.value
        guard let packet = value.packet?.hex else { return }
        let receiver = try #require(value.receiver_private?.hex.flatMap { DiscoPrivateKey(bytes: $0) })
        let sender = try #require(value.sender_public?.hex.flatMap { DiscoPublicKey(bytes: $0) })
        let box = try NaClBox(receiver, sender)
        if let looksLikeDisco = value.looks_like_disco?.bool {
            #expect((DiscoEnvelope.sender(of: packet.span) != nil) == looksLikeDisco)
        }
        let claimed = DiscoEnvelope.sender(of: packet.span)
        let opened = try claimed.flatMap { DiscoEnvelope.open(packet.span, with: try NaClBox(receiver, $0)) }
        guard value.opens?.bool != false else {
            #expect(opened == nil)
            return
        }
        #expect(claimed == sender)
        let plaintext = try #require(value.plaintext?.hex)
        #expect(opened == (try? DiscoMessage(parsing: plaintext.span)))
        #expect(box.open(packet.span.extracting(droppingFirst: 38)) == plaintext)
    }

    @Test(arguments: cases) func `seals to the same octets`(vector: VectorCase) throws {
        let value = vector.value
        guard let packet = value.packet?.hex, value.opens?.bool != false, let nonce = value.nonce?.hex,
            let plaintext = value.plaintext?.hex, let message = try? DiscoMessage(parsing: plaintext.span)
        else { return }
        let sender = try #require(value.sender_private?.hex.flatMap { DiscoPrivateKey(bytes: $0) })
        let receiver = try #require(value.receiver_public?.hex.flatMap { DiscoPublicKey(bytes: $0) })
        let payload = DiscoEnvelope.payload(of: message)
        #expect(payload == plaintext)
        let sealed = try NaClBox(sender, receiver).seal(payload.span, nonce: nonce)
        #expect(DiscoEnvelope.header(of: sender.publicKey) + sealed == packet)
        #expect(value.packet_length?.int.map { $0 == packet.count } != false)
    }

    @Test(arguments: cases) func `parses what the payload says`(vector: VectorCase) throws {
        let value = vector.value
        guard let plaintext = value.plaintext?.hex else { return }
        let message = try? DiscoMessage(parsing: plaintext.span)
        guard value.parse_ok?.bool != false else {
            #expect(message == nil)
            return
        }
        let expected = try #require(value.message)
        switch try #require(message) {
        case .ping(let ping):
            #expect(expected.type?.string == "ping")
            #expect(ping.transaction.description == expected.txid?.string)
            #expect(ping.nodeKey?.text == expected.node_key?.string)
            #expect(ping.paddingByteCount == expected.padding?.int)
        case .pong(let transaction, let source):
            #expect(expected.type?.string == "pong")
            #expect(transaction.description == expected.txid?.string)
            #expect(source.description == expected.src?.string)
        case .callMeMaybe(let endpoints):
            #expect(expected.type?.string == "call_me_maybe")
            #expect(endpoints.map(\.description) == expected.endpoints?.array?.compactMap(\.string))
        case .relay(let kind, _):
            let names: [DiscoRelayKind: String] = [
                .bindEndpoint: "bind_udp_relay_endpoint",
                .bindEndpointChallenge: "bind_udp_relay_endpoint_challenge",
                .bindEndpointAnswer: "bind_udp_relay_endpoint_answer",
                .callMeMaybeVia: "call_me_maybe_via",
                .allocateEndpointRequest: "allocate_udp_relay_endpoint_request",
                .allocateEndpointResponse: "allocate_udp_relay_endpoint_response",
            ]
            #expect(expected.type?.string == names[kind])
        }
    }
}

extension NaClBox {
    fileprivate init(_ own: DiscoPrivateKey, _ peer: DiscoPublicKey) throws {
        self = try NaClBox(precomputing: own, peer)
    }
}
