import GuestNetwork
import NetTypes
import NetWire
import TCP

/// A query over TCP to a resolver in the tailnet.
final class TunnelStream: DNSConversation, NodeFlow {
    private let exchange: DNSExchange.ID
    private let flows: NodeFlows
    private let now: () -> MonotonicTime
    private unowned let resolver: ForwardingResolver
    private var framing: any DNSFraming
    private var key: NodeFlows.Key?
    private var connection: TCPConnection?

    /// Begins to connect; nil when there is no port for it.
    init?(
        _ exchange: DNSExchange,
        _ framing: any DNSFraming,
        from source: IPAddress,
        flows: NodeFlows,
        resolver: ForwardingResolver,
        now: @escaping () -> MonotonicTime
    ) {
        self.exchange = exchange.id
        self.flows = flows
        self.resolver = resolver
        self.framing = framing
        self.now = now
        guard let key = flows.open(self, .tcp, to: exchange.target) else { return nil }
        self.key = key
        var connection = TCPConnection(
            from: AddressPort(source, port: key.port),
            to: exchange.target,
            initialSequence: .random(in: .min ... .max),
            mtu: GuestNetworkConstants.mtu,
            now: now()
        )
        // The whole of a query always fits an empty buffer.
        _ = connection.write(framing.request)
        self.connection = connection
        send()
    }

    var nextDeadline: MonotonicTime? { connection?.nextDeadline }

    func tick() {
        connection?.tick(now: now())
        proceed()
    }

    func received(_ packet: Span<UInt8>, _ parsed: ParsedPacket) {
        guard let segment = TCPSegment(parsing: packet, parsed) else { return }
        connection?.receive(segment, now: now())
        proceed()
    }

    func refused() {
        key = nil
        connection = nil
        resolver.failed(exchange)
    }

    func cancel() {
        connection?.abort()
        send()
        connection = nil
        if let key { flows.close(key) }
        key = nil
    }

    private func proceed() {
        send()
        guard let octets = connection?.read(), let isFinished = connection?.isReadFinished else { return }
        var answer: [UInt8]?
        do throws(DNSFramingError) {
            if !octets.isEmpty { answer = try framing.take(octets) }
        } catch {
            return resolver.failed(exchange)
        }
        if isFinished { answer = answer ?? framing.finish() }
        if let answer {
            resolver.received(answer, in: exchange)
        } else if isFinished {
            resolver.failed(exchange)
        } else {
            // Reading may have opened the window.
            send()
        }
    }

    private func send() {
        for packet in connection?.takeOutgoing(now: now()) ?? [] { flows.send(packet) }
    }
}
