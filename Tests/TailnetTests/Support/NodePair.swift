import GuestNetwork
import Logging
import NIOCore
import NIOEmbedded
import NetTypes
import NetWire
import Tailcfg
import WarrenCrypto
import WarrenModel

@testable import Tailnet

/// Two real data planes, joined where their UDP sockets would be, with the test in place of both guests.
final class NodePair {
    /// One node, its guest's end of the NIC and the network's end of its socket.
    final class Side {
        let plane: DataPlane
        let node: Node
        /// IP packets that reached the guest.
        var packets: [[UInt8]] = []
        /// How many datagrams left by the socket.
        var datagramCount = 0
        fileprivate let udp: EmbeddedChannel
        private let nic: EmbeddedChannel
        private let endpoint: SocketAddress
        private var decoder = NICFrameDecoder()

        fileprivate init(
            _ id: NodeID,
            _ address: IPv4Address,
            port: UInt16,
            _ loop: EmbeddedEventLoop,
            forwarding: DNSForwardingRule
        ) throws {
            let key = NodePrivateKey()
            var configuration = TailnetNodeConfiguration(
                controlURL: "http://127.0.0.1:1",
                preferences: NodePreferences(hostname: "node"),
                nicSocketPath: "/nowhere",
                dialPolicy: Open(),
                logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
            )
            configuration.dnsForwarding = forwarding
            plane = DataPlane(
                eventLoop: loop,
                nodeKey: key,
                configuration: configuration,
                isOneMachine: true,
                report: { _ in }
            )
            (nic, udp) = (EmbeddedChannel(loop: loop), EmbeddedChannel(loop: loop))
            endpoint = try SocketAddress(ipAddress: "127.0.0.1", port: Int(port))
            var node = Node(id: id)
            node.name = "node\(id).example.net."
            node.key = key.publicKey
            node.discoKey = plane.discoPublicKey
            node.machineAuthorized = true
            node.addresses = [IPPrefix(.v4(address))]
            node.endpoints = [AddressPort(.v4(.loopback), port: port)]
            node.normalize()
            self.node = node
            try plane.start(nic: nic, udp: udp, at: AddressPort(.v4(.loopback), port: port))
            nic.connect(to: try SocketAddress(unixDomainSocketPath: "/nic"), promise: nil)
        }

        private struct Open: DialPolicy {
            func permits(_ address: IPAddress, for purpose: DialPurpose) -> Bool { true }
        }

        /// Has the guest send an IPv4 packet.
        func send(_ packet: [UInt8]) throws {
            var buffer = ByteBuffer()
            buffer.writeInteger(UInt32(14 + packet.count))
            buffer.writeBytes([0x02, 0x57, 0x52, 0, 0, 1, 0x52, 0x54, 0, 0x57, 0x52, 0x4E, 8, 0] + packet)
            try nic.writeInbound(buffer)
        }

        /// Collects what reached the guest, and hands over what left by the socket.
        fileprivate func collect() throws -> [AddressedEnvelope<ByteBuffer>] {
            while let written = try nic.readOutbound(as: ByteBuffer.self) { decoder.append(written) }
            while let frame = try decoder.next() {
                packets.append(Array(frame.readableBytesView.dropFirst(14)))
            }
            var sent: [AddressedEnvelope<ByteBuffer>] = []
            while let envelope = try udp.readOutbound(as: AddressedEnvelope<ByteBuffer>.self) {
                sent.append(
                    AddressedEnvelope(remoteAddress: endpoint, data: envelope.data, metadata: envelope.metadata)
                )
            }
            datagramCount += sent.count
            return sent
        }

        /// Takes the UDP datagrams that reached the guest.
        func takeDatagrams() throws -> [(source: AddressPort, target: AddressPort, payload: [UInt8])] {
            defer { packets.removeAll() }
            return try packets.compactMap { packet in
                let parsed = try ParsedPacket(parsing: packet.span)
                guard let range = UDPPacket.payloadRange(of: packet.span, parsed) else { return nil }
                return (
                    AddressPort(parsed.source, port: parsed.sourcePort),
                    AddressPort(parsed.destination, port: parsed.destinationPort), Array(packet[range])
                )
            }
        }
    }

    static let nearAddress = IPv4Address(100, 64, 0, 1)
    static let farAddress = IPv4Address(100, 64, 0, 2)

    let near: Side
    let far: Side
    private let loop = EmbeddedEventLoop()

    /// A pair whose near side has this DNS configuration, with a session between the two.
    init(_ dns: DNSConfig, forwarding: DNSForwardingRule = .tailnet, exitNode: ((inout Node) -> Void)? = nil) throws {
        loop.advanceTime(to: .now())
        near = try Side(1, Self.nearAddress, port: 41_641, loop, forwarding: forwarding)
        far = try Side(2, Self.farAddress, port: 41_642, loop, forwarding: forwarding)
        var peer = far.node
        if let exitNode {
            exitNode(&peer)
            peer.allowedIPs = peer.addresses + [.everyIPv4, .everyIPv6]
        }
        apply(dns, to: near, peer, exitNode: exitNode == nil ? .none : .selected(peer.id))
        apply(DNSConfig(), to: far, near.node, exitNode: .none)
    }

    deinit {
        near.plane.stop()
        far.plane.stop()
    }

    private func apply(_ dns: DNSConfig, to side: Side, _ peer: Node, exitNode: RoutePreferences.ExitNode) {
        var map = NetworkMap(selfNode: side.node)
        map.peers[peer.id] = peer
        map.dnsConfig = dns
        map.packetFilters["base"] = [FilterRule(sourceIPs: ["*"], destinations: [FilterDestination(ip: "*")])]
        let network = PlaneNetwork(
            map: map,
            preferences: NodePreferences(hostname: "node"),
            exitNode: exitNode,
            now: ControlTime(seconds: 1_800_000_000)
        )
        side.plane.apply(network)
    }

    /// Moves packets until none is on its way any more.
    func settle() throws {
        loop.advanceTime(to: .now())
        for _ in 0..<200 {
            let (there, back) = (try near.collect(), try far.collect())
            if there.isEmpty, back.isEmpty { return }
            for envelope in there { try far.udp.writeInbound(envelope) }
            for envelope in back { try near.udp.writeInbound(envelope) }
        }
    }
}
