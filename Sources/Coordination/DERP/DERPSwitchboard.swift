import DERP
import Logging
import NIOCore
import WarrenCrypto

/// Who is connected to the relay, and which way a packet goes.
///
/// Confined to the relay's event loop.
final class DERPSwitchboard {
    /// The connections of one key; the one that spoke last receives.
    private struct Client {
        var connections: [DERPRelayConnection]
        var active: DERPRelayConnection
    }

    let configuration: DERPRelayConfiguration
    let handshake: DERPServerHandshake
    private(set) var counters = DERPRelay.Counters()
    private let logger: Logger
    private let admits: @Sendable (NodePublicKey) -> Bool
    private var clients: [NodePublicKey: Client] = [:]
    private var connectionsByAddress: [String: Int] = [:]
    private var connectionCount = 0
    private var toFlush: [DERPRelayConnection] = []
    private var isShuttingDown = false

    init(
        configuration: DERPRelayConfiguration,
        logger: Logger,
        admits: @escaping @Sendable (NodePublicKey) -> Bool
    ) {
        self.configuration = configuration
        self.logger = logger
        self.admits = admits
        handshake = DERPServerHandshake(privateKey: configuration.privateKey)
    }

    var serverKey: NodePublicKey { configuration.privateKey.publicKey }

    /// Counts a new connection in, unless its address or the relay has its share.
    func admit(_ connection: DERPRelayConnection, from address: String?) -> Bool {
        let address = address ?? ""
        guard !isShuttingDown, connectionCount < configuration.maximumConnections,
            connectionsByAddress[address, default: 0] < configuration.maximumConnectionsPerAddress
        else { return false }
        connectionCount += 1
        connectionsByAddress[address, default: 0] += 1
        connection.address = address
        return true
    }

    /// Lets a client in that has proven its key; the newest connection of a key receives.
    func register(_ connection: DERPRelayConnection, as key: NodePublicKey) -> Bool {
        guard admits(key) else {
            counters.refusedLogins += 1
            logger.debug("relay login refused", metadata: ["peer": "\(key.short)"])
            return false
        }
        var connections = clients[key]?.connections ?? []
        guard connections.count < configuration.maximumConnectionsPerKey else { return false }
        connections.append(connection)
        clients[key] = Client(connections: connections, active: connection)
        counters.connections += 1
        return true
    }

    /// Any frame makes the connection that it came over the one that receives.
    func noteActivity(of connection: DERPRelayConnection, key: NodePublicKey) {
        guard let client = clients[key], client.active !== connection else { return }
        clients[key]?.active = connection
    }

    /// Hands a packet to its destination; false when that is not connected.
    func relay(_ packet: ByteBuffer, from source: NodePublicKey, to destination: NodePublicKey) -> Bool {
        guard let client = clients[destination] else {
            counters.unroutablePackets += 1
            return false
        }
        let frame = DERPFrame.wrap(packet, as: .receivedPacket, key: source)
        counters.relayedPackets += 1
        counters.droppedPackets += client.active.enqueue(frame, isDisco: Self.isDisco(packet))
        return true
    }

    /// Remembers who has written and not flushed.
    func markForFlush(_ connection: DERPRelayConnection) {
        toFlush.append(connection)
    }

    /// Ends a batch.
    func flush() {
        for connection in toFlush { connection.flush() }
        toFlush.removeAll(keepingCapacity: true)
    }

    /// Forgets a connection, and tells those that heard from its client when it was the last.
    func remove(_ connection: DERPRelayConnection) {
        guard let address = connection.address else { return }
        connection.address = nil
        connectionCount -= 1
        let left = connectionsByAddress[address, default: 1] - 1
        connectionsByAddress[address] = left > 0 ? left : nil
        guard let key = connection.key, var client = clients[key] else { return }
        let before = client.connections.count
        client.connections.removeAll { $0 === connection }
        guard client.connections.count < before else { return }
        counters.connections -= 1
        if let newest = client.connections.last {
            if client.active === connection { client.active = newest }
            clients[key] = client
            return
        }
        clients[key] = nil
        // Everybody leaves; nobody needs to know of the others.
        guard !isShuttingDown else { return }
        for peer in connection.reached { clients[peer]?.active.send(.peerGone(key, .disconnected)) }
    }

    /// Closes every connection of a key.
    func disconnect(_ key: NodePublicKey) {
        for connection in clients[key]?.connections ?? [] { connection.close() }
    }

    /// Says when to come back, and closes.
    func shutdown() {
        isShuttingDown = true
        for client in clients.values {
            for connection in client.connections {
                connection.send(.restarting(reconnectMilliseconds: 1000, tryMilliseconds: 60_000))
                connection.close()
            }
        }
    }

    /// Whether a packet is a discovery message: magic and at least a sealed header (tailscale `disco.LooksLikeDiscoWrapper`).
    static func isDisco(_ packet: ByteBuffer) -> Bool {
        let magic: [UInt8] = [0x54, 0x53, 0xF0, 0x9F, 0x92, 0xAC]
        guard packet.readableBytes >= 62 else { return false }
        return packet.readableBytesView.starts(with: magic)
    }
}
