package import NetTypes
package import WarrenCrypto

/// What became of a packet that was to be sent.
package enum EncapsulateVerdict: Hashable, Sendable {
    /// The transport message lies in this range of the buffer.
    case sealed(Range<Int>)
    /// A copy waits for a session; handshake messages may be waiting to be taken.
    case queued
    /// The packet went nowhere.
    case drop(DropReason)
}

/// What a received datagram was.
package enum DecapsulateVerdict: Hashable, Sendable {
    /// An IP packet of this peer lies in this range of the datagram.
    case packet(PeerIndex, Range<Int>)
    /// An empty message of this peer.
    case keepalive(PeerIndex)
    /// A handshake message of this peer was taken in; answers may be waiting to be taken.
    case handshake(PeerIndex)
    /// The handshake that we began with this peer is complete: there is a session to send with.
    case handshakeCompleted(PeerIndex)
    /// A cookie reply of this peer was taken in.
    case cookie(PeerIndex)
    /// The datagram is worth nothing.
    case drop(DropReason)
}

/// A message that the device wants sent.
package struct OutgoingMessage: Sendable {
    /// Where a message is to go.
    package enum Destination: Hashable, Sendable {
        /// To this peer, by whatever path it has.
        case peer(PeerIndex)
        /// Back to where the answered datagram came from.
        case source(AddressPort)
    }

    /// Where it is to go.
    package let destination: Destination
    /// The whole datagram.
    package let bytes: [UInt8]
}

/// All sessions of one node as a pure state machine: datagrams, packets and the time in, verdicts and messages out.
///
/// Confined to the node's event loop. After `encapsulate`, `decapsulate` or `tick` the caller sends what
/// `takeOutgoing` returns. A transport message that is sealed or opened allocates nothing.
package final class WireGuardDevice {
    /// A registered peer; its sessions are made when they are needed.
    struct Peer {
        /// The static key.
        var publicKey: NodePublicKey
        /// How often this place was given away before.
        var generation: UInt32 = 0
        /// Whether the place is taken.
        var isPresent = false
        /// The pre-shared key; nil stands for zeros.
        var presharedKey: SecretBytes?
        /// From where its packets may come.
        var allowedIPs: [IPPrefix] = []
        /// The prefixes that the table of destinations has for it.
        var routes: [IPPrefix] = []
        /// The timestamp of the last accepted initiation.
        // Outlives the sessions, or an old initiation could be replayed once they are gone.
        var lastTimestamp = TAI64N.distantPast
        /// The session state, if there is any.
        var sessions: WireGuardPeer?
    }

    /// Our static key.
    let privateKey: NodePrivateKey
    /// Stamps our initiations.
    let clock: TimestampClock
    /// The source of ephemeral keys, indices and delays.
    var generator: any RandomNumberGenerator
    /// The table of peers; a removed one leaves its place free.
    var peers: [Peer] = []
    /// The place of each peer.
    var slots: [NodePublicKey: Int] = [:]
    /// The peer behind each receiver index.
    var indices = IndexTable()
    /// When which peer has something to do.
    var deadlines = DeadlineQueue()
    /// Checks the codes of handshake messages.
    var cookieChecker: CookieChecker
    /// Tells when handshake messages come too fast.
    var load: HandshakeLoad
    /// Octets of all queued packets.
    var queuedByteCount = 0
    private var freeSlots: [Int] = []
    private var outgoing: [OutgoingMessage] = []
    /// Which addresses belong to which peer.
    package private(set) var allowedIPs = AllowedIPs()
    /// How often each reason dropped something.
    package private(set) var dropCounts = DropCounts()

    /// A device without peers.
    package init(
        privateKey: NodePrivateKey,
        clock: TimestampClock,
        handshakesPerSecond: Int = WireGuardDefaults.handshakesPerSecond,
        generator: any RandomNumberGenerator = SecureRandomNumberGenerator()
    ) {
        self.privateKey = privateKey
        self.clock = clock
        self.generator = generator
        cookieChecker = CookieChecker(publicKey: privateKey.publicKey)
        var seeds = SecureRandomNumberGenerator()
        load = HandshakeLoad(limit: handshakesPerSecond, seed: seeds.next())
    }

    /// Our own public key.
    package var publicKey: NodePublicKey { privateKey.publicKey }

    /// Registers a peer, or changes the prefixes and pre-shared key of one that is; costs no key exchange.
    ///
    /// - Parameters:
    ///   - publicKey: Who it is.
    ///   - prefixes: From where its packets may come.
    ///   - routes: Those of them whose packets go to it; nil for all. What several peers may send from, one of them gets.
    ///   - presharedKey: The pre-shared key, if there is one.
    /// - Returns: What it is called from now on.
    @discardableResult
    package func setPeer(
        _ publicKey: NodePublicKey,
        allowedIPs prefixes: [IPPrefix],
        routes: [IPPrefix]? = nil,
        presharedKey: SecretBytes? = nil
    ) -> PeerIndex {
        let slot = slots[publicKey] ?? makeSlot(for: publicKey)
        peers[slot].presharedKey = presharedKey
        let index = PeerIndex(slot: Int32(slot), generation: peers[slot].generation)
        peers[slot].allowedIPs = prefixes
        setRoutes(routes ?? prefixes, of: index)
        return index
    }

    /// Forgets a peer with its sessions.
    package func removePeer(_ index: PeerIndex) {
        guard let slot = slot(of: index) else { return }
        forgetSessions(of: slot)
        setRoutes([], of: index)
        slots[peers[slot].publicKey] = nil
        peers[slot] = Peer(publicKey: .zero, generation: index.generation &+ 1)
        freeSlots.append(slot)
    }

    private func setRoutes(_ routes: [IPPrefix], of index: PeerIndex) {
        let slot = Int(index.slot)
        let previous = peers[slot].routes
        peers[slot].routes = routes
        if previous != routes {
            for prefix in previous where !routes.contains(prefix) { allowedIPs.remove(prefix, owner: index) }
        }
        // Again even when they are the same: another peer may have had them meanwhile.
        for prefix in routes { allowedIPs.insert(prefix, owner: index) }
    }

    /// The prefixes whose packets go to a peer, as they were given; empty when it was removed.
    package func routes(of index: PeerIndex) -> [IPPrefix] {
        slot(of: index).map { peers[$0].routes } ?? []
    }

    /// From where packets of a peer may come; empty when it was removed.
    package func allowedIPs(of index: PeerIndex) -> [IPPrefix] {
        slot(of: index).map { peers[$0].allowedIPs } ?? []
    }

    /// The peer with this key.
    package func peer(for publicKey: NodePublicKey) -> PeerIndex? {
        slots[publicKey].map { PeerIndex(slot: Int32($0), generation: peers[$0].generation) }
    }

    /// The key of a peer; nil when it was removed.
    package func publicKey(of index: PeerIndex) -> NodePublicKey? {
        slot(of: index).map { peers[$0].publicKey }
    }

    /// The peer whose allowed IPs contain `address` by their longest prefix.
    package func peer(forDestination address: IPAddress) -> PeerIndex? { allowedIPs.owner(of: address) }

    /// How many peers are registered.
    package var peerCount: Int { slots.count }

    /// How many peers have session state.
    package var activePeerCount: Int { peers.count { $0.sessions != nil } }

    /// What went to and came from a peer; nil when it has no session state.
    package func statistics(of index: PeerIndex) -> PeerStatistics? {
        slot(of: index).flatMap { peers[$0].sessions?.statistics }
    }

    /// Whether a packet to this peer would be sealed at once.
    package func hasSession(with index: PeerIndex, now: MonotonicTime) -> Bool {
        slot(of: index).flatMap { peers[$0].sessions?.sendable(at: now) } != nil
    }

    /// Drops sessions, handshake and queue of a peer, which remains registered.
    package func resetSessions(of index: PeerIndex) {
        if let slot = slot(of: index) { forgetSessions(of: slot) }
    }

    /// Whether `takeOutgoing` would return anything.
    package var hasOutgoing: Bool { !outgoing.isEmpty }

    /// Takes the messages that are to be sent, in order.
    package func takeOutgoing() -> [OutgoingMessage] {
        guard !outgoing.isEmpty else { return [] }
        defer { outgoing = [] }
        return outgoing
    }

    /// Has a message sent.
    func send(_ bytes: [UInt8], to destination: OutgoingMessage.Destination) {
        guard outgoing.count < WireGuardDefaults.outgoingMessageCount else { return countDrop(.outgoingFull) }
        outgoing.append(OutgoingMessage(destination: destination, bytes: bytes))
    }

    /// Counts a drop.
    func countDrop(_ reason: DropReason) {
        dropCounts.count(reason)
    }

    /// The place of a peer that was not removed.
    func slot(of index: PeerIndex) -> Int? {
        let slot = Int(index.slot)
        guard slot < peers.count, peers[slot].isPresent, peers[slot].generation == index.generation else { return nil }
        return slot
    }

    /// The name of the peer at a place.
    func index(of slot: Int) -> PeerIndex {
        PeerIndex(slot: Int32(slot), generation: peers[slot].generation)
    }

    /// The session state of a peer, made if there is none; nil when its key is one that nobody can hold.
    func sessions(of slot: Int) -> WireGuardPeer? {
        if let sessions = peers[slot].sessions { return sessions }
        let publicKey = peers[slot].publicKey
        guard let secret = try? X25519.sharedSecret(privateKey: privateKey, publicKey: publicKey) else { return nil }
        let sessions = WireGuardPeer(publicKey: publicKey, staticSecret: secret)
        peers[slot].sessions = sessions
        return sessions
    }

    /// An index that nothing uses, entered for `slot`.
    func makeIndex(for slot: Int) -> UInt32 {
        while true {
            let index = UInt32(truncatingIfNeeded: generator.next())
            if indices.slot(of: index) == nil {
                indices.insert(index, slot: slot)
                return index
            }
        }
    }

    /// A random delay that keeps two peers from repeating in step.
    func jitter() -> Duration {
        .milliseconds(Int64(generator.next() % WireGuardConstants.jitterMilliseconds))
    }

    /// Makes sure that a peer is woken for its earliest deadline.
    func reschedule(_ slot: Int, _ sessions: WireGuardPeer) {
        deadlines.schedule(slot, by: sessions.timers.earliest)
    }

    /// Drops all session state of a peer.
    func forgetSessions(of slot: Int) {
        guard let sessions = peers[slot].sessions else { return }
        queuedByteCount -= sessions.queue.byteCount
        sessions.forget { indices.remove($0) }
        deadlines.remove(slot)
        peers[slot].sessions = nil
    }

    private func makeSlot(for publicKey: NodePublicKey) -> Int {
        let slot: Int
        if let free = freeSlots.popLast() {
            slot = free
        } else {
            slot = peers.count
            peers.append(Peer(publicKey: .zero))
        }
        peers[slot].publicKey = publicKey
        peers[slot].isPresent = true
        slots[publicKey] = slot
        return slot
    }
}
