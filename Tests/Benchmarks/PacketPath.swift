import GuestNetwork
import Logging
import NIOCore
import NIOEmbedded
import NetTypes
import NetWire
import Tailcfg
import Tailnet
import WarrenCrypto

/// Stands where NIO writes to the kernel: holds what is written until the flush, as NIO does, then keeps a copy.
private final class WriteSink<Message>: ChannelOutboundHandler {
    typealias OutboundIn = Message

    private let meter: PathMeter
    private let copy: (Message) -> Message
    private var pending: [Message] = []
    private var written: [Message] = []

    init(meter: PathMeter, copy: @escaping (Message) -> Message) {
        self.meter = meter
        self.copy = copy
    }

    /// Takes what was written and flushed.
    func take() -> [Message] {
        defer { written = [] }
        return written
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        meter.excluding { pending.append(unwrapOutboundIn(data)) }
    }

    func flush(context: ChannelHandlerContext) {
        meter.excluding {
            written += pending.map(copy)
            pending.removeAll(keepingCapacity: true)
        }
    }
}

/// One node with its guest's end of the NIC and the network's end of its UDP socket in our hands.
final class PathStation {
    let plane: DetachedDataPlane
    let node: Node
    private let meter: PathMeter
    private let nic: EmbeddedChannel
    private let udp: EmbeddedChannel
    private let toGuest: WriteSink<ByteBuffer>
    private let toNetwork: WriteSink<AddressedEnvelope<ByteBuffer>>
    private let remoteAddress: SocketAddress

    private struct OpenPolicy: DialPolicy {
        func permits(_ address: IPAddress, for purpose: DialPurpose) -> Bool { true }
    }

    init(id: NodeID, address: IPv4Address, port: UInt16, loop: EmbeddedEventLoop, meter: PathMeter) throws {
        self.meter = meter
        let key = NodePrivateKey()
        plane = DetachedDataPlane(
            eventLoop: loop,
            nodeKey: key,
            configuration: TailnetNodeConfiguration(
                controlURL: "http://127.0.0.1:1",
                preferences: NodePreferences(hostname: "bench"),
                nicSocketPath: "/nowhere",
                dialPolicy: OpenPolicy(),
                logger: Logger(label: "bench") { _ in SwiftLogNoOpLogHandler() }
            )
        )
        toGuest = WriteSink(meter: meter) { ByteBuffer(bytes: $0.readableBytesView) }
        toNetwork = WriteSink(meter: meter) {
            AddressedEnvelope(
                remoteAddress: $0.remoteAddress,
                data: ByteBuffer(bytes: $0.data.readableBytesView),
                metadata: $0.metadata
            )
        }
        nic = EmbeddedChannel(handler: toGuest, loop: loop)
        udp = EmbeddedChannel(handler: toNetwork, loop: loop)
        let endpoint = AddressPort(.v4(.loopback), port: port)
        remoteAddress = try SocketAddress(ipAddress: "127.0.0.1", port: Int(port))
        var node = Node(id: id)
        node.name = "node\(port).example.net."
        node.key = key.publicKey
        node.discoKey = plane.discoPublicKey
        node.machineAuthorized = true
        node.addresses = [IPPrefix(.v4(address))]
        node.endpoints = [endpoint]
        node.normalize()
        self.node = node
        try plane.start(nic: nic, udp: udp, at: endpoint)
        nic.connect(to: try SocketAddress(unixDomainSocketPath: "/nic"), promise: nil)
    }

    /// Has the node talk to one peer, and both about everything.
    func join(_ peer: PathStation) {
        var map = NetworkMap(selfNode: node)
        map.peers[peer.node.id] = peer.node
        map.packetFilters["base"] = [FilterRule(sourceIPs: ["*"], destinations: [FilterDestination(ip: "*")])]
        plane.apply(map, now: ControlTime(seconds: 1_800_000_000))
    }

    /// Delivers reads of the NIC's stream.
    func readFromGuest(_ reads: [ByteBuffer], measured: Bool) {
        deliver(reads.map { NIOAny($0) }, to: nic, measured)
    }

    /// Delivers reads of the UDP socket.
    func readFromNetwork(_ reads: [AddressedEnvelope<ByteBuffer>], measured: Bool) {
        deliver(reads.map { NIOAny($0) }, to: udp, measured)
    }

    /// The octets that were written to the guest since they were last asked for.
    func takeWrittenToGuest() -> Int { toGuest.take().reduce(0) { $0 + $1.readableBytes } }

    /// The datagrams that were sent since they were last asked for, as whoever receives them reads them.
    func takeWrittenToNetwork() -> [AddressedEnvelope<ByteBuffer>] {
        toNetwork.take().map {
            AddressedEnvelope(remoteAddress: remoteAddress, data: $0.data, metadata: $0.metadata)
        }
    }

    private func deliver(_ reads: [NIOAny], to channel: EmbeddedChannel, _ isMeasured: Bool) {
        guard !reads.isEmpty else { return }
        let pipeline = channel.pipeline.syncOperations
        for read in reads {
            if isMeasured { meter.resume() }
            pipeline.fireChannelRead(read)
            if isMeasured { meter.pause() }
        }
        if isMeasured { meter.resume() }
        pipeline.fireChannelReadComplete()
        if isMeasured { meter.pause() }
    }
}

/// Two real data planes, joined where their UDP sockets would be.
final class PacketPath {
    static let packetByteCount = 1280
    /// Packets of one burst: more than one datagram batch takes.
    static let burstCount = 128

    let meter = PathMeter()
    private let loop = EmbeddedEventLoop()
    private let near: PathStation
    private let far: PathStation
    private let reads: [ByteBuffer]
    private let burstByteCount: Int

    /// A pair with a session and a proven direct path.
    init() throws {
        let addresses = (near: IPv4Address(100, 64, 0, 1), far: IPv4Address(100, 64, 0, 2))
        loop.advanceTime(to: .now())
        near = try PathStation(id: 1, address: addresses.near, port: 41641, loop: loop, meter: meter)
        far = try PathStation(id: 2, address: addresses.far, port: 41642, loop: loop, meter: meter)
        let stream = Self.stream(from: addresses.near, to: addresses.far)
        burstByteCount = stream.readableBytes
        // What a busy stream gives: full reads, which cut frames in two.
        reads = Swift.stride(from: 0, to: burstByteCount, by: 65_536).compactMap { start in
            stream.getSlice(at: start, length: min(65_536, stream.readableBytes - start)).map {
                ByteBuffer(bytes: $0.readableBytesView)
            }
        }
        near.join(far)
        far.join(near)
        for _ in 0..<4 {
            near.readFromGuest(reads, measured: false)
            settle()
        }
        precondition(near.plane.isDirect(to: far.node.id), "no direct path: \(near.plane.dropsByReason)")
        _ = far.takeWrittenToGuest()
    }

    deinit {
        near.plane.stop()
        far.plane.stop()
    }

    /// Sends a burst from guest to guest and measures one node's part of it; false when a packet was lost.
    func pass(measuring direction: Direction) -> Bool {
        near.readFromGuest(reads, measured: direction == .out)
        far.readFromNetwork(near.takeWrittenToNetwork(), measured: direction == .in)
        let isWhole = far.takeWrittenToGuest() == burstByteCount
        settle()
        return isWhole
    }

    /// Which way packets go, as the guest sees it.
    enum Direction { case out, `in` }

    /// Lets timers fire and their messages arrive, until nothing is on its way any more.
    private func settle() {
        loop.advanceTime(to: .now())
        for _ in 0..<16 {
            let (there, back) = (near.takeWrittenToNetwork(), far.takeWrittenToNetwork())
            if there.isEmpty, back.isEmpty { return }
            far.readFromNetwork(there, measured: false)
            near.readFromNetwork(back, measured: false)
        }
    }

    private static func stream(from source: IPv4Address, to destination: IPv4Address) -> ByteBuffer {
        var octets = [UInt8](repeating: 0x5A, count: EthernetHeader.byteCount + packetByteCount)
        let ethernet = EthernetHeader(
            destination: GuestNetworkDefaults.ownHardwareAddress,
            source: GuestNetworkDefaults.guestHardwareAddress,
            etherType: .ipv4
        )
        let ip = IPv4Header(
            ipProtocol: .udp,
            source: source,
            destination: destination,
            payloadByteCount: packetByteCount - IPv4Header.byteCount
        )
        var elements = octets.mutableSpan
        var span = elements.mutableBytes
        ethernet.store(into: &span, at: 0)
        ip.store(into: &span, at: EthernetHeader.byteCount)
        var stream = ByteBuffer()
        for _ in 0..<burstCount {
            stream.writeInteger(UInt32(octets.count))
            stream.writeBytes(octets)
        }
        return stream
    }
}
