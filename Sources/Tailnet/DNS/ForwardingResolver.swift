import GuestNetwork
import Magicsock
import NIOCore
import NIOSSL
import NetTypes
import NetWire
import Transport
import WireGuard

/// An exchange with a resolver while it goes on.
protocol DNSConversation: AnyObject {
    /// When `tick` is due.
    var nextDeadline: MonotonicTime? { get }
    /// Does what is due.
    func tick()
    /// Ends it without an answer.
    func cancel()
}

extension DNSConversation {
    var nextDeadline: MonotonicTime? { nil }
    func tick() {}
}

/// Who is asked about names that are not the tailnet's own.
struct DNSSnapshot: Sendable {
    /// Who is asked about names without a route.
    var resolvers: [String]
    /// Who is asked about names below a suffix.
    var routes: [String: [String]]
    /// Whether one of `resolvers` can be reached.
    var forwards: Bool
}

/// Asks resolvers on behalf of the guest: what the forwarder decides is done here.
///
/// Confined to the node's event loop.
final class ForwardingResolver {
    private unowned let plane: DataPlane
    private var forwarder = DNSForwarder()
    private var reach: DNSReach
    private var conversations: [DNSExchange.ID: any DNSConversation] = [:]
    private var timer: Scheduled<Void>?
    private var timerDeadline: MonotonicTime?
    private let tlsSettings: TLSConfiguration
    // Reading the authorities takes some milliseconds, which only those pay who have such a resolver; without them nobody is trusted.
    private lazy var hostTLS = try? ClientTLS.context(tlsSettings)

    /// A resolver that has no address to ask from yet.
    ///
    /// - Parameters:
    ///   - plane: The way to the guest and through the tunnel.
    ///   - rule: What the daemon allows.
    ///   - policy: Which addresses others may name.
    ///   - tls: Whom to trust as a resolver over HTTPS.
    init(plane: DataPlane, rule: DNSForwardingRule, policy: any DialPolicy, tls: TLSConfiguration) {
        self.plane = plane
        tlsSettings = tls
        reach = DNSReach(rule: rule, policy: policy)
    }

    /// Takes what the network map means for resolvers.
    func apply(ownAddresses: [IPAddress], usesExitNode: Bool) {
        reach.own = ownAddresses
        reach.usesExitNode = usesExitNode
    }

    /// Who is asked, for the API.
    var snapshot: DNSSnapshot {
        let (reach, plane) = (reach, plane)
        var upstreams = plane.link.upstreams
        let general = upstreams.removeValue(forKey: .root) ?? []
        return DNSSnapshot(
            resolvers: general.map(\.text),
            routes: Dictionary(
                upstreams.map { ($0.key.description, $0.value.map(\.text)) },
                uniquingKeysWith: { $1 }
            ),
            forwards: general.contains { upstream in
                switch upstream {
                case .plain(let target), .peer(let target, _):
                    reach.way(to: target.address) { plane.device.peer(forDestination: $0) != nil } != nil
                case .https(let resolver): resolver.targets.contains { reach.way(to: $0.address) { _ in false } != nil }
                case .unusable: false
                }
            }
        )
    }

    /// Ends everything.
    func stop() {
        timer?.cancel()
        timer = nil
        for conversation in conversations.values { conversation.cancel() }
        conversations.removeAll()
        forwarder = DNSForwarder()
    }

    /// Takes queries of the guest; the answers come later, or at once.
    func resolve(_ queries: [DNSQuery]) {
        for query in queries { ask(query) }
        plane.link.sendStreams(into: &plane.batch)
        perform()
    }

    /// Sends what an answer from outside the tunnel has brought about.
    func settle() { plane.flush() }

    private func ask(_ query: DNSQuery) {
        let (reach, plane) = (reach, plane)
        forwarder.ask(query, now: plane.socket.now) { address in
            reach.way(to: address) { plane.device.peer(forDestination: $0) != nil }
        }
    }

    /// Takes an answer.
    func received(_ message: [UInt8], in exchange: DNSExchange.ID) {
        forwarder.received(message, in: exchange, now: plane.socket.now)
        perform()
    }

    /// Learns that a conversation ended without an answer.
    func failed(_ exchange: DNSExchange.ID) {
        forwarder.failed(exchange, now: plane.socket.now)
        perform()
    }

    private func perform() {
        var actions = forwarder.takeActions()
        while !actions.isEmpty {
            for action in actions {
                switch action {
                case .begin(let exchange): begin(exchange)
                case .end(let id): conversations.removeValue(forKey: id)?.cancel()
                case .answer(let query, let message):
                    for waiting in plane.link.respond(to: query, message: message, into: &plane.batch) { ask(waiting) }
                }
            }
            actions = forwarder.takeActions()
        }
        armTimer()
    }

    private func begin(_ exchange: DNSExchange) {
        guard let conversation = conversation(exchange) else {
            return forwarder.failed(exchange.id, now: plane.socket.now)
        }
        conversations[exchange.id] = conversation
    }

    private func conversation(_ exchange: DNSExchange) -> (any DNSConversation)? {
        switch (exchange.way, exchange.carrier) {
        case (.tunnel, .datagram):
            guard let source = reach.source(towards: exchange.target.address) else { return nil }
            return TunnelDatagram(exchange, from: source, flows: plane.flows, resolver: self)
        case (.tunnel, .stream): return stream(exchange, LengthFraming(exchange.message))
        case (.tunnel, .http(let path)):
            // A path that the codec refuses is no resolver.
            guard let framing = try? HTTPFraming(exchange.message, to: "\(exchange.target)", path: path) else {
                return nil
            }
            return stream(exchange, framing)
        case (.host, .datagram): return HostDatagram(exchange, on: plane.eventLoop, resolver: self)
        case (.host, .stream):
            return HostStream(exchange, LengthFraming(exchange.message), on: plane.eventLoop, resolver: self)
        case (.host, .https(let host, let path)):
            guard let context = hostTLS, let framing = try? HTTPFraming(exchange.message, to: host, path: path) else {
                return nil
            }
            let tls = HostStream.TLS(context: context, host: host)
            return HostStream(exchange, framing, over: tls, on: plane.eventLoop, resolver: self)
        case (.host, .http), (.tunnel, .https): return nil
        }
    }

    private func stream(_ exchange: DNSExchange, _ framing: any DNSFraming) -> TunnelStream? {
        guard let source = reach.source(towards: exchange.target.address) else { return nil }
        let socket = plane.socket
        return TunnelStream(
            exchange,
            framing,
            from: source,
            flows: plane.flows,
            resolver: self,
            now: { [unowned socket] in socket.now }
        )
    }

    private var nextDeadline: MonotonicTime? {
        var earliest = forwarder.nextDeadline
        func consider(_ deadline: MonotonicTime?) {
            guard let deadline else { return }
            earliest = earliest.map { min($0, deadline) } ?? deadline
        }
        for conversation in conversations.values { consider(conversation.nextDeadline) }
        consider(plane.link.nextStreamDeadline)
        return earliest
    }

    private func armTimer() {
        guard let deadline = nextDeadline else {
            timer?.cancel()
            timer = nil
            timerDeadline = nil
            return
        }
        if let timerDeadline, timerDeadline <= deadline { return }
        timer?.cancel()
        timerDeadline = deadline
        timer = plane.eventLoop.assumeIsolated().scheduleTask(
            deadline: .uptimeNanoseconds(deadline.nanoseconds)
        ) { [weak self] in self?.tick() }
    }

    private func tick() {
        timer = nil
        timerDeadline = nil
        let now = plane.socket.now
        forwarder.tick(now: now)
        for conversation in conversations.values where conversation.nextDeadline.map({ $0 <= now }) == true {
            conversation.tick()
        }
        plane.link.tickStreams(into: &plane.batch)
        perform()
        plane.flush()
    }
}
