import NetTypes
import NetWire

/// A query over UDP to a resolver in the tailnet.
final class TunnelDatagram: DNSConversation, NodeFlow {
    private let exchange: DNSExchange.ID
    private let flows: NodeFlows
    private unowned let resolver: ForwardingResolver
    private var key: NodeFlows.Key?

    /// Sends the query; nil when there is no port or no packet for it.
    init?(_ exchange: DNSExchange, from source: IPAddress, flows: NodeFlows, resolver: ForwardingResolver) {
        self.exchange = exchange.id
        self.flows = flows
        self.resolver = resolver
        guard let key = flows.open(self, .udp, to: exchange.target) else { return nil }
        let local = AddressPort(source, port: key.port)
        guard let packet = UDPPacket.bytes(from: local, to: exchange.target, payload: exchange.message.span) else {
            flows.close(key)
            return nil
        }
        self.key = key
        flows.send(packet)
    }

    func received(_ packet: Span<UInt8>, _ parsed: ParsedPacket) {
        guard let range = UDPPacket.payloadRange(of: packet, parsed) else { return }
        resolver.received(packet.extracting(range).array, in: exchange)
    }

    func refused() {
        key = nil
        resolver.failed(exchange)
    }

    func cancel() {
        if let key { flows.close(key) }
        key = nil
    }
}
