import ControlPlane
import Foundation
import NIOCore
import NIOEmbedded
import NIOHTTP1
import TestSupport
import Testing
import Transport
import WarrenCrypto

@Suite("ts2021 upgrade vectors") struct UpgradeVectorTests {
    @Test(arguments: try VectorFile("ts2021_upgrade", in: Bundle.module).cases)
    func `reads what the reference puts on the wire`(vector: VectorCase) throws {
        switch vector.value.variant?.string {
        case "post": try post(vector.value)
        case "early_parse": try earlyPayload(vector.value)
        case "websocket":
            let initiation = try #require(vector.value.initiation?.hex)
            let query = try #require(vector.value.raw_query?.string)
            let request = HTTPRequestHead(version: .http1_1, method: .GET, uri: "/ts2021?\(query)")
            #expect(try ControlUpgrade.initiation(inQueryOf: request).get() == initiation)
            let ours = ControlUpgrade.webSocketURI(url: try ControlURL("https://h"), initiation: initiation)
            #expect(ours == request.uri)
            #expect(ControlConstants.webSocketRoute.matches(request))
            #expect(ControlConstants.webSocketRoute.subprotocol == vector.value.response_subprotocol?.string)
            let server = try machineKey(vector.value.control_private)
            let machine = try machineKey(vector.value.machine_private)
            #expect(try ControlNoiseHandshake.accept(initiation, serverKey: server).machineKey == machine.publicKey)
        case let other: Issue.record("unknown variant \(other ?? "nil")")
        }
    }

    private func earlyPayload(_ value: JSONValue) throws {
        var detector = EarlyPayloadDetector()
        var stream: [UInt8] = []
        var failure: ControlError?
        do throws(ControlError) {
            for record in value.server_plaintext_records?.array?.compactMap({ $0.hex }) ?? [] {
                stream += try detector.append(ByteBuffer(bytes: record)).readableBytesView
            }
            try detector.finish()
        } catch { failure = error }
        #expect((failure != nil) == value.error?.bool)
        #expect(stream.hex == value.remaining_stream?.string)
        #expect(detector.payload?.nodeKeyChallenge?.text == value.node_key_challenge?.string)
    }

    private func post(_ value: JSONValue) throws {
        let server = try machineKey(value.control_private)
        let request = try parse(try #require(value.client_http_request?.string))
        let initiation = try ControlUpgrade.initiation(in: request).get()

        let url = try ControlURL("https://control.example.com")
        let initiator = try ControlNoiseHandshake.Initiator(
            machineKey: try machineKey(value.machine_private),
            serverKey: server.publicKey,
            version: UInt16(try #require(value.version?.int)),
            ephemeral: try machineKey(value.client_ephemeral_private)
        )
        #expect(initiator.initiation == initiation)
        let ours = ControlUpgrade.requestHead(url: url, initiation: initiation, userAgent: "Go-http-client/1.1")
        #expect(ours.uri == request.uri)
        #expect(ours.method == request.method)
        for (name, field) in request.headers { #expect(ours.headers[name] == [field]) }

        let accepted = try ControlNoiseHandshake.accept(
            initiation,
            serverKey: server,
            ephemeral: try machineKey(value.server_ephemeral_private)
        )
        let wire = try #require(value.server_noise_bytes?.hex)
        #expect(accepted.response == Array(wire.prefix(51)))
        var records = try initiator.finish(Array(wire.prefix(51))).records
        records.append(ByteBuffer(bytes: wire.dropFirst(51)))
        var detector = EarlyPayloadDetector()
        var plaintext: [UInt8] = []
        while let part = try records.next() {
            plaintext += part.readableBytesView
            _ = try detector.append(part)
        }
        #expect(plaintext.hex == value.server_plaintext?.string)
        if let json = value.early_payload_json?.string {
            let expected = try JSONDecoder().decode(EarlyPayload.self, from: Data(json.utf8))
            #expect(detector.payload == expected)
            let length = 9 + json.utf8.count
            #expect(Array(try expected.encoded().readableBytesView) == Array(plaintext.prefix(length)))
        } else {
            #expect(detector.payload == nil)
        }
    }

    private func parse(_ text: String) throws -> HTTPRequestHead {
        let channel = EmbeddedChannel(handler: ByteToMessageHandler(HTTPRequestDecoder()))
        try channel.writeInbound(ByteBuffer(string: text))
        guard case .head(let head)? = try channel.readInbound(as: HTTPServerRequestPart.self) else {
            throw ControlError.malformedResponse
        }
        _ = try channel.finish()
        return head
    }
}
