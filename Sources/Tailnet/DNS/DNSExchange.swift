import NetTypes

/// How a resolver is reached.
enum DNSWay: Hashable, Sendable {
    /// Through the tunnel, from the node's own address.
    case tunnel
    /// By the host's network.
    case host
}

/// One message to one resolver, for which one answer is wanted.
struct DNSExchange: Hashable, Sendable {
    /// Counts the exchanges of a forwarder.
    typealias ID = UInt64

    /// What carries the message.
    enum Carrier: Hashable, Sendable {
        /// UDP.
        case datagram
        /// TCP, behind a length of two octets.
        case stream
        /// An HTTP POST to this path.
        case http(path: String)
        /// The same over TLS, with a server that proves to be `host`.
        case https(host: String, path: String)
    }

    /// Names the exchange.
    let id: ID
    /// Who is asked.
    let target: AddressPort
    /// How to get there.
    let way: DNSWay
    /// What carries it.
    let carrier: Carrier
    /// The query under an identifier of its own.
    let message: [UInt8]
}
