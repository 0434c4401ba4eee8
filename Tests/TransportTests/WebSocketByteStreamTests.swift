import NIOCore
import NIOEmbedded
import NIOWebSocket
import Testing
import Transport

@Suite("WebSocketByteStream (RFC 6455)") struct WebSocketByteStreamTests {
    private static let limits = WebSocketLimits(outgoingByteCount: 8, incomingByteCount: 200)

    private func channel(_ role: WebSocketByteStream.Role) throws -> EmbeddedChannel {
        let channel = EmbeddedChannel(
            handlers: [
                WebSocketFrameEncoder(),
                ByteToMessageHandler(WebSocketFrameDecoder(maxFrameSize: Self.limits.incomingByteCount)),
                WebSocketByteStream(role: role, limits: Self.limits),
            ]
        )
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        return channel
    }

    /// A frame as its octets; `masked` with a fixed key as a client sends it.
    private func frame(_ first: UInt8, _ payload: [UInt8], masked: Bool) -> ByteBuffer {
        var octets = ByteBuffer(bytes: [first])
        let mask: UInt8 = masked ? 0x80 : 0
        if payload.count < 126 {
            octets.writeInteger(UInt8(payload.count) | mask)
        } else {
            octets.writeInteger(126 | mask)
            octets.writeInteger(UInt16(payload.count))
        }
        let key: [UInt8] = [1, 2, 3, 4]
        if masked { octets.writeBytes(key) }
        octets.writeBytes(masked ? payload.enumerated().map { $1 ^ key[$0 % 4] } : payload)
        return octets
    }

    private func received(_ channel: EmbeddedChannel) throws -> [UInt8] {
        var result: [UInt8] = []
        while let part = try channel.readInbound(as: ByteBuffer.self) { result += part.readableBytesView }
        return result
    }

    private func sent(_ channel: EmbeddedChannel) throws -> [UInt8] {
        var result: [UInt8] = []
        while let part = try channel.readOutbound(as: ByteBuffer.self) { result += part.readableBytesView }
        return result
    }

    @Test(arguments: [1, 2, 3, 100])
    func `gives one stream of messages, fragments and control frames however they are cut`(step: Int) throws {
        let channel = try channel(.server)
        var wire = ByteBuffer()
        var parts = [
            frame(0x82, [1, 2, 3], masked: true), frame(0x02, [4], masked: true),
            frame(0x89, [9], masked: true), frame(0x00, [], masked: true), frame(0x8A, [7], masked: true),
            frame(0x80, [5, 6], masked: true), frame(0x82, [7], masked: true),
        ]
        for index in parts.indices { wire.writeBuffer(&parts[index]) }
        while let part = wire.readSlice(length: min(step, wire.readableBytes)), part.readableBytes > 0 {
            try channel.writeInbound(part)
        }
        #expect(try received(channel) == [1, 2, 3, 4, 5, 6, 7])
        #expect(try sent(channel) == [0x8A, 1, 9])
        _ = try channel.finish()
    }

    @Test func `cuts what a server sends into messages of the limit`() throws {
        let channel = try channel(.server)
        try channel.writeOutbound(ByteBuffer(bytes: Array(0..<20)))
        #expect(
            try sent(channel) == [0x82, 8] + Array(0..<8) + [0x82, 8] + Array(8..<16) + [0x82, 4] + Array(16..<20)
        )
        _ = try channel.finish()
    }

    @Test func `masks what a client sends with a key of its own each time`() throws {
        let channel = try channel(.client)
        var keys: Set<[UInt8]> = []
        for _ in 0..<4 {
            try channel.writeOutbound(ByteBuffer(bytes: [10, 20, 30]))
            let wire = try sent(channel)
            #expect(Array(wire.prefix(2)) == [0x82, 0x83])
            keys.insert(Array(wire[2..<6]))
            #expect((0..<3).map { wire[6 + $0] ^ wire[2 + $0] } == [10, 20, 30])
        }
        #expect(keys.count > 1)
        _ = try channel.finish()
    }

    struct Offence: Sendable, CustomTestStringConvertible {
        let name: String
        let role: WebSocketByteStream.Role
        let frames: [(first: UInt8, byteCount: Int, masked: Bool)]
        let code: UInt16
        var testDescription: String { name }
    }

    @Test(
        arguments: [
            Offence(name: "text", role: .server, frames: [(0x81, 1, true)], code: 1003),
            Offence(name: "unmasked client", role: .server, frames: [(0x82, 1, false)], code: 1002),
            Offence(name: "masked server", role: .client, frames: [(0x82, 1, true)], code: 1002),
            Offence(name: "oversize frame", role: .server, frames: [(0x82, 201, true)], code: 1009),
            Offence(name: "huge frame", role: .client, frames: [(0x82, 300, false)], code: 1009),
            Offence(
                name: "oversize message",
                role: .client,
                frames: [(0x02, 150, false), (0x80, 51, false)],
                code: 1009
            ),
            Offence(name: "continuation of nothing", role: .client, frames: [(0x80, 1, false)], code: 1002),
            Offence(
                name: "message inside one",
                role: .client,
                frames: [(0x02, 1, false), (0x82, 1, false)],
                code: 1002
            ),
            Offence(name: "compression bit", role: .client, frames: [(0xC2, 1, false)], code: 1002),
            Offence(name: "reserved opcode", role: .client, frames: [(0x83, 1, false)], code: 1002),
            Offence(name: "fragmented ping", role: .server, frames: [(0x09, 1, true)], code: 1002),
            Offence(name: "long ping", role: .server, frames: [(0x89, 126, true)], code: 1002),
        ]
    )
    func `closes with the status of the offence and takes nothing more`(offence: Offence) throws {
        let channel = try channel(offence.role)
        var failure: (any Error)?
        do {
            for part in offence.frames {
                try channel.writeInbound(
                    frame(part.first, Array(repeating: 7, count: part.byteCount), masked: part.masked)
                )
            }
        } catch { failure = error }
        #expect(failure as? TransportError == .webSocketViolation)
        var wire = try sent(channel)
        #expect(wire.removeFirst() == 0x88)
        let code: [UInt8]
        if offence.role == .client {
            #expect(wire.removeFirst() == 0x82)
            code = [wire[4] ^ wire[0], wire[5] ^ wire[1]]
        } else {
            #expect(wire.removeFirst() == 2)
            code = wire
        }
        #expect(UInt16(code[0]) << 8 | UInt16(code[1]) == offence.code)
        _ = try received(channel)
        try channel.writeInbound(frame(0x82, [1], masked: offence.role == .server))
        #expect(try received(channel).isEmpty)
        #expect(throws: TransportError.connectionClosed) { try channel.writeOutbound(ByteBuffer(bytes: [1])) }
        // The peer has a second to read why; then the connection ends.
        #expect(channel.isActive)
        channel.embeddedEventLoop.advanceTime(by: .seconds(1))
        #expect(!channel.isActive)
    }

    @Test func `answers a close with its code and says goodbye itself`() throws {
        let server = try channel(.server)
        try server.writeInbound(frame(0x88, [0x03, 0xE9, 0x62, 0x79, 0x65], masked: true))
        #expect(try sent(server) == [0x88, 2, 0x03, 0xE9])
        server.embeddedEventLoop.advanceTime(by: .seconds(1))
        #expect(!server.isActive)

        let leaving = try channel(.server)
        leaving.close(promise: nil)
        #expect(try sent(leaving) == [0x88, 2, 0x03, 0xE8])
    }

    @Test func `never traps on random octets`() throws {
        var generator = SystemRandomNumberGenerator()
        for seed in 0..<400 {
            let channel = try channel(seed % 2 == 0 ? .server : .client)
            // Errors are what random octets deserve; that the process lives is what is tested.
            for _ in 0..<4 {
                let octets = (0..<40).map { _ in UInt8.random(in: 0...255, using: &generator) }
                _ = try? channel.writeInbound(ByteBuffer(bytes: octets))
            }
            _ = try? channel.finish(acceptAlreadyClosed: true)
        }
    }
}
