import GuestNetwork
import Logging
import NIOCore
import NIOEmbedded
import NetTypes
import NetWire
import Tailcfg
import Testing
import WarrenCrypto
import WarrenModel

@testable import Tailnet

/// One node's real data plane with the guest's end of its NIC and the network's end of its UDP socket in our hands.
final class PlaneStation {
    let plane: DataPlane
    var node: Node
    var map: NetworkMap
    var preferences = NodePreferences(hostname: "station")
    private var selection = ExitNodeSelection()
    private let nic: EmbeddedChannel
    fileprivate let udp: EmbeddedChannel
    fileprivate let endpoint: AddressPort
    private var decoder = NICFrameDecoder()

    private struct OpenPolicy: DialPolicy {
        func permits(_ address: IPAddress, for purpose: DialPurpose) -> Bool { true }
    }

    init(_ number: UInt8, loop: EmbeddedEventLoop) throws {
        let key = NodePrivateKey()
        let configuration = TailnetNodeConfiguration(
            controlURL: "http://127.0.0.1:1",
            preferences: preferences,
            nicSocketPath: "/nowhere",
            dialPolicy: OpenPolicy(),
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        )
        plane = DataPlane(
            eventLoop: loop,
            nodeKey: key,
            configuration: configuration,
            isOneMachine: true,
            report: { _ in }
        )
        nic = EmbeddedChannel(loop: loop)
        udp = EmbeddedChannel(loop: loop)
        endpoint = AddressPort(.v4(.loopback), port: 41_000 + UInt16(number))
        node = Node(id: NodeID(rawValue: Int64(number)))
        node.stableID = "n\(number)"
        node.name = "node\(number).example.net."
        node.key = key.publicKey
        node.discoKey = plane.discoPublicKey
        node.machineAuthorized = true
        node.addresses = [
            IPPrefix(.v4(IPv4Address(100, 64, 0, number))),
            IPPrefix(.v6(IPv6Address(high: 0xFD7A_115C_A1E0_0000, low: UInt64(number)))),
        ]
        node.endpoints = [endpoint]
        node.normalize()
        map = NetworkMap(selfNode: node)
        map.packetFilters["base"] = [FilterRule(sourceIPs: ["*"], destinations: [FilterDestination(ip: "*")])]
        try plane.start(nic: nic, udp: udp, at: endpoint)
        nic.connect(to: try SocketAddress(unixDomainSocketPath: "/nic"), promise: nil)
    }

    /// Gives the data plane the map as it is now.
    func apply() {
        let now = ControlTime(seconds: 1_800_000_000)
        let exitNode = selection.resolve(preferences.exitNode, in: map, now: now)
        plane.apply(PlaneNetwork(map: map, preferences: preferences, exitNode: exitNode, now: now))
    }

    /// The guest sends a packet.
    func guestSends(_ packet: [UInt8]) throws {
        let header = EthernetHeader(
            destination: GuestNetworkDefaults.ownHardwareAddress,
            source: GuestNetworkDefaults.guestHardwareAddress,
            etherType: packet[0] >> 4 == 6 ? .ipv6 : .ipv4
        )
        var frame = [UInt8](repeating: 0, count: EthernetHeader.byteCount)
        var elements = frame.mutableSpan
        var span = elements.mutableBytes
        header.store(into: &span, at: 0)
        var stream = ByteBuffer()
        stream.writeInteger(UInt32(frame.count + packet.count))
        stream.writeBytes(frame + packet)
        try nic.writeInbound(stream)
    }

    /// The IP packets of others that reached the guest since this was last asked.
    func guestGot() throws -> [[UInt8]] {
        var packets: [[UInt8]] = []
        while let stream = try nic.readOutbound(as: ByteBuffer.self) {
            decoder.append(stream)
            while let frame = try decoder.next() {
                let packet = Array(frame.readableBytesView.dropFirst(EthernetHeader.byteCount))
                // What the link itself tells its guest is nobody's packet.
                if try !ParsedPacket(parsing: packet).source.isLinkLocal { packets.append(packet) }
            }
        }
        return packets
    }

    fileprivate func takeSent() throws -> [AddressedEnvelope<ByteBuffer>] {
        var sent: [AddressedEnvelope<ByteBuffer>] = []
        while let envelope = try udp.readOutbound(as: AddressedEnvelope<ByteBuffer>.self) { sent.append(envelope) }
        return sent
    }
}

/// Some data planes that reach each other, and nobody else.
final class PlaneNetworkBench {
    let loop = EmbeddedEventLoop()
    private(set) var stations: [PlaneStation] = []

    /// Stations with the numbers 1… that know each other once they apply their maps.
    init(_ count: UInt8) throws {
        loop.advanceTime(to: .now())
        for number in 1...count { stations.append(try PlaneStation(number, loop: loop)) }
        introduce()
    }

    deinit {
        for station in stations { station.plane.stop() }
    }

    /// Puts every station's node into the maps of the others.
    func introduce() {
        for station in stations {
            station.map.selfNode = station.node
            for other in stations where other !== station { station.map.peers[other.node.id] = other.node }
        }
    }

    /// Everyone takes their map.
    func apply() {
        for station in stations { station.apply() }
    }

    /// Carries datagrams until nothing is on its way any more.
    func settle() throws {
        loop.advanceTime(to: .now())
        for _ in 0..<32 {
            var isQuiet = true
            for station in stations {
                for envelope in try station.takeSent() {
                    isQuiet = false
                    guard let port = envelope.remoteAddress.port,
                        let receiver = stations.first(where: { Int($0.endpoint.port) == port })
                    else { continue }
                    let source = try SocketAddress(ipAddress: "127.0.0.1", port: Int(station.endpoint.port))
                    try receiver.udp.writeInbound(
                        AddressedEnvelope(
                            remoteAddress: source,
                            data: ByteBuffer(bytes: envelope.data.readableBytesView)
                        )
                    )
                }
            }
            if isQuiet { return }
        }
    }
}
