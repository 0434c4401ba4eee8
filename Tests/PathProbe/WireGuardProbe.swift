import Foundation
import Magicsock
import NIOCore
import NIOPosix
import NetTypes
import Tailcfg
import WarrenCrypto
import WireGuard

/// Our tunnel over our socket as the peer of somebody else's WireGuard: 10.9.0.1 that answers pings, and sends them.
final class WireGuardProbe: MagicSocketSink {
    private struct Status: Encodable {
        var replies: Int
        var requests: Int
        var handshakes: Int
        var isMet: Bool
    }

    private let socket: MagicSocket
    private let device: WireGuardDevice
    private let index: PeerIndex
    private let path: MagicPeer
    private let eventLoop: any EventLoop
    private var ahead = Duration.zero
    private var replies = 0
    private var requests = 0
    private var handshakes = 0

    /// The arguments: private key, peer's key, our port, the peer's endpoints.
    static func run(_ arguments: [String]) async throws {
        guard let own = Data(base64Encoded: arguments[0]).flatMap({ NodePrivateKey(bytes: [UInt8]($0)) }),
            let peer = Data(base64Encoded: arguments[1]).map({ NodePublicKey([UInt8]($0).span) }),
            let port = UInt16(arguments[2])
        else { throw CocoaError(.coderInvalidValue) }
        let endpoints = arguments.dropFirst(3).compactMap { AddressPort($0) }
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let probe = try await loop.submit {
            NIOLoopBound(WireGuardProbe(loop, own, peer, port, Array(endpoints)), eventLoop: loop)
        }.get()
        try await loop.flatSubmit { probe.value.socket.start(sink: probe.value) }.get()
        try ProbeConsole.answer(["ready": true])
        for await command in ProbeConsole.commands() {
            let before = try await loop.submit { probe.value.status(isMet: false) }.get()
            let end = ContinuousClock().now + .seconds(8)
            var isMet = command.first == "status"
            if command.first == "advance" {
                try await loop.submit { probe.value.ahead += .seconds(Int(command[1]) ?? 0) }.get()
                isMet = true
            }
            while !isMet, ContinuousClock().now < end {
                try await loop.submit { probe.value.sendPing() }.get()
                try await Task.sleep(for: .milliseconds(50))
                let now = try await loop.submit { probe.value.status(isMet: false) }.get()
                // `ping` wants an answer, `rekey` another handshake beside it.
                isMet = now.replies > before.replies
                if command.first == "rekey" { isMet = isMet && now.handshakes > before.handshakes }
            }
            let result = isMet
            try ProbeConsole.answer(try await loop.submit { probe.value.status(isMet: result) }.get())
        }
        try await loop.submit { probe.value.socket.close() }.get()
    }

    private init(
        _ loop: any EventLoop,
        _ own: NodePrivateKey,
        _ peer: NodePublicKey,
        _ port: UInt16,
        _ endpoints: [AddressPort]
    ) {
        eventLoop = loop
        var configuration = MagicSocketConfiguration(
            dialPolicy: ProbeConsole.OpenPolicy(),
            relayDialer: DERPRelayDialer(policy: ProbeConsole.OpenPolicy(), logger: ProbeConsole.logger),
            logger: ProbeConsole.logger
        )
        configuration.port = port
        socket = MagicSocket(eventLoop: loop, nodeKey: own, configuration: configuration)
        device = WireGuardDevice(
            privateKey: own,
            clock: TimestampClock(
                anchor: socket.now,
                unixNanoseconds: UInt64(Date().timeIntervalSince1970 * 1_000_000_000)
            )
        )
        index = device.setPeer(peer, allowedIPs: [IPPrefix(.v4(IPv4Address(10, 9, 0, 2)))])
        path =
            socket.setPeers([
                MagicPeerDescription(
                    nodeKey: peer,
                    discoKey: .zero,
                    homeDERP: .none,
                    endpoints: endpoints,
                    isWireGuardOnly: true
                )
            ])[0]
    }

    private var now: MonotonicTime { socket.now + ahead }

    private func status(isMet: Bool) -> Status {
        Status(replies: replies, requests: requests, handshakes: handshakes, isMet: isMet)
    }

    private func sendPing() {
        device.tick(now: now)
        send(Self.echo)
        flush()
    }

    private func send(_ packet: [UInt8]) {
        var buffer = [UInt8](repeating: 0, count: packet.count + MessageLength.transportOverhead + 16)
        buffer.replaceSubrange(
            MessageLength.transportHeader..<MessageLength.transportHeader + packet.count,
            with: packet
        )
        let verdict: EncapsulateVerdict
        do {
            var elements = buffer.mutableSpan
            var octets = elements.mutableBytes
            verdict = device.encapsulate(
                &octets,
                packetAt: MessageLength.transportHeader,
                count: packet.count,
                to: index,
                now: now
            )
        }
        if case .sealed(let range) = verdict { socket.send(buffer.span.extracting(range), to: path, now: socket.now) }
    }

    private func flush() {
        for message in device.takeOutgoing() {
            switch message.destination {
            case .peer: socket.send(message.bytes.span, to: path, now: socket.now)
            case .source(let address): socket.reply(message.bytes.span, to: address, relayed: nil)
            }
        }
        socket.flush()
    }

    func magicSocketReceived(_ datagram: Span<UInt8>, from source: AddressPort, relayed: MagicPeer?) {
        var buffer = datagram.array
        let verdict: DecapsulateVerdict
        do {
            var elements = buffer.mutableSpan
            var octets = elements.mutableBytes
            verdict = device.decapsulate(&octets, from: source, now: now)
        }
        switch verdict {
        case .packet(_, let range):
            path.noteAnswered(byteCount: datagram.count)
            let packet = buffer[range]
            guard packet.count >= 28, packet[range.lowerBound + 9] == 1 else { break }
            switch packet[range.lowerBound + 20] {
            case 0: replies += 1
            case 8:
                requests += 1
                send(Self.reply(to: Array(packet)))
            default: break
            }
        case .handshake, .handshakeCompleted:
            handshakes += 1
            path.noteAnswered(byteCount: datagram.count)
        case .keepalive, .cookie: path.noteAnswered(byteCount: datagram.count)
        case .drop: break
        }
        flush()
    }

    func magicSocketReadComplete() { socket.flush() }
    func magicSocketWritabilityChanged() {}
    func magicSocketPathChanged(_ peer: MagicPeer) {}
    func magicSocketReportChanged(_ report: MagicSocketReport) {}

    // MARK: ICMP

    private static var echo: [UInt8] {
        var packet: [UInt8] = [0x45, 0, 0, 28, 0, 0, 0, 0, 64, 1, 0, 0, 10, 9, 0, 1, 10, 9, 0, 2]
        store(checksum(packet[0..<20]), in: &packet, at: 10)
        packet += [8, 0, 0, 0, 0x57, 0x52, 0, 1]
        store(checksum(packet[20...]), in: &packet, at: 22)
        return packet
    }

    private static func reply(to request: [UInt8]) -> [UInt8] {
        var packet = request
        packet.replaceSubrange(12..<16, with: request[16..<20])
        packet.replaceSubrange(16..<20, with: request[12..<16])
        packet[20] = 0
        (packet[22], packet[23]) = (0, 0)
        store(checksum(packet[20...]), in: &packet, at: 22)
        return packet
    }

    private static func store(_ sum: UInt16, in packet: inout [UInt8], at offset: Int) {
        packet[offset] = UInt8(sum >> 8)
        packet[offset + 1] = UInt8(sum & 255)
    }

    private static func checksum(_ octets: ArraySlice<UInt8>) -> UInt16 {
        var sum: UInt32 = 0
        for (place, octet) in octets.enumerated() { sum += place % 2 == 0 ? UInt32(octet) << 8 : UInt32(octet) }
        while sum > 0xFFFF { sum = (sum & 0xFFFF) + (sum >> 16) }
        return ~UInt16(sum)
    }
}
