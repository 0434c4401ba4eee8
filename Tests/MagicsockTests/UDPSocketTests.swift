import NIOCore
import NIOEmbedded
import NetTypes
import Testing

@testable import Magicsock

@Suite("UDPSocket") struct UDPSocketTests {
    private typealias Envelope = AddressedEnvelope<ByteBuffer>

    private let channel = EmbeddedChannel()
    private let remotes: [SocketAddress]

    init() throws {
        remotes = try [41641, 41642].map { try SocketAddress(ipAddress: "127.0.0.1", port: $0) }
    }

    private func makeSocket() -> UDPSocket {
        UDPSocket(channel: channel, localAddress: AddressPort(.v4(.loopback), port: 41640), groupsSends: true)
    }

    private func written() throws -> [Envelope] {
        var result: [Envelope] = []
        while let envelope = try channel.readOutbound(as: Envelope.self) { result.append(envelope) }
        return result
    }

    @Test func `datagrams to two peers in turn arrive whole, however many wait for a flush`() throws {
        let socket = makeSocket()
        // What was written stays in our hands, so that a batch in use again too early would show.
        var kept: [Envelope] = []
        for _ in 0..<3 {
            for place in 0..<40 {
                socket.send([UInt8](repeating: UInt8(place), count: 100).span, to: remotes[place % 2])
            }
            socket.flush()
            kept += try written()
        }
        #expect(kept.map { $0.data.readableBytes } == [Int](repeating: 100, count: 120))
        for (place, envelope) in kept.enumerated() {
            #expect(envelope.remoteAddress == remotes[place % 2])
            #expect(envelope.data.readableBytesView.allSatisfy { $0 == UInt8(place % 40) })
        }
    }

    @Test func `a burst to one peer leaves in order and in full`() throws {
        let socket = makeSocket()
        var octets: [UInt8] = []
        for place in 0..<1_000 {
            let datagram = [UInt8](repeating: UInt8(place % 251), count: 1_312)
            octets += datagram
            socket.send(datagram.span, to: remotes[0])
        }
        socket.flush()
        let envelopes = try written()
        #expect(envelopes.flatMap { Array($0.data.readableBytesView) } == octets)
        #expect(envelopes.allSatisfy { $0.data.readableBytes <= 65_000 })
        socket.flush()
        #expect(try written().isEmpty)
    }
}
