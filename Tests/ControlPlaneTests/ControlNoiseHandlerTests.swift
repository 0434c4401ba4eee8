import ControlPlane
import Foundation
import NIOCore
import NIOEmbedded
import TestSupport
import Testing
import WarrenCrypto

@Suite("ControlNoiseHandler") struct ControlNoiseHandlerTests {
    private func vector() throws -> JSONValue {
        try #require(
            try VectorFile("ts2021_upgrade", in: Bundle.module).cases
                .first { $0.value.early_payload_json != nil }?.value
        )
    }

    private func handler(_ value: JSONValue, opened: EventLoopPromise<Void>) throws -> ControlNoiseHandler {
        let initiator = try ControlNoiseHandshake.Initiator(
            machineKey: try machineKey(value.machine_private),
            serverKey: try machineKey(value.control_private).publicKey,
            version: UInt16(try #require(value.version?.int)),
            ephemeral: try machineKey(value.client_ephemeral_private)
        )
        return ControlNoiseHandler(initiator: initiator, opened: opened)
    }

    @Test(arguments: [1, 2, 3, 50, 51, 52, 100, 1000])
    func `yields the stream behind the early payload however its octets arrive`(step: Int) throws {
        let value = try vector()
        let wire = try #require(value.server_noise_bytes?.hex)
        let json = try #require(value.early_payload_json?.string)
        let plaintext = try #require(value.server_plaintext?.hex)
        let channel = EmbeddedChannel()
        let opened = channel.eventLoop.makePromise(of: Void.self)
        try channel.pipeline.syncOperations.addHandler(try handler(value, opened: opened))
        for start in stride(from: 0, to: wire.count, by: step) {
            try channel.writeInbound(ByteBuffer(bytes: wire[start..<min(start + step, wire.count)]))
        }
        try opened.futureResult.wait()
        var stream: [UInt8] = []
        while let part = try channel.readInbound(as: ByteBuffer.self) { stream += part.readableBytesView }
        #expect(stream == Array(plaintext.dropFirst(9 + json.utf8.count)))
        _ = try channel.finish()
    }

    @Test func `takes an error frame, another frame, a forged response and an early end for failures`() throws {
        let value = try vector()
        let wire = try #require(value.server_noise_bytes?.hex)
        var forged = Array(wire.prefix(51))
        forged[50] ^= 1
        let cases: [([UInt8], ControlError)] = [
            (Array(ControlNoiseHandshake.errorFrame("no").readableBytesView), .handshakeFailed(.refusedByPeer)),
            ([4, 0, 16], .handshakeFailed(.wrongType)),
            (forged, .handshakeFailed(.notAuthentic)),
            (Array(wire.prefix(30)), .connectionClosed),
        ]
        for (octets, expected) in cases {
            let channel = EmbeddedChannel()
            let opened = channel.eventLoop.makePromise(of: Void.self)
            try channel.pipeline.syncOperations.addHandler(try handler(value, opened: opened))
            try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
            try channel.writeInbound(ByteBuffer(bytes: octets))
            _ = try channel.finish(acceptAlreadyClosed: true)
            #expect(throws: expected) { try opened.futureResult.wait() }
        }
    }

    @Test func `closes when a record is forged after the handshake`() throws {
        let value = try vector()
        var wire = try #require(value.server_noise_bytes?.hex)
        wire[wire.count - 1] ^= 1
        let channel = EmbeddedChannel()
        let opened = channel.eventLoop.makePromise(of: Void.self)
        try channel.pipeline.syncOperations.addHandler(try handler(value, opened: opened))
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        #expect(throws: ControlError.invalidRecord) { try channel.writeInbound(ByteBuffer(bytes: wire)) }
        #expect(!channel.isActive)
    }
}
