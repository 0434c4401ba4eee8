import GuestNetwork
import NetTypes
import NetWire

/// A query of the guest that resolvers are being asked about.
struct PendingQuery {
    /// An exchange that goes on.
    struct Attempt {
        let id: DNSExchange.ID
        let carrier: DNSExchange.Carrier
        let identifier: UInt16
        let deadline: MonotonicTime
    }

    /// What a resolver speaks.
    enum Service: Equatable {
        case plain
        case http(path: String)
        case https(host: String, path: String)
    }

    /// One of those who are asked.
    struct Resolver {
        let target: AddressPort
        let way: DNSWay
        let service: Service
        var attempts: [Attempt] = []
        var hasTriedStream = false
        /// How it failed for good.
        var failure: DNSResponseCode?

        /// Whether a stream would be worth a try beside what goes on.
        var waitsForStream: Bool { service == .plain && failure == nil && !hasTriedStream }
    }

    /// What the guest asked.
    let query: DNSQuery
    /// The query, read.
    let message: DNSEnvelope
    /// When to give up.
    let deadline: MonotonicTime
    /// When datagrams have had their time to be answered; nil once streams are on their way.
    var streamsAt: MonotonicTime?
    /// Who is asked.
    var resolvers: [Resolver]

    /// A query to those of its resolvers that can be reached; nil when there is none.
    init?(_ query: DNSQuery, _ message: DNSEnvelope, now: MonotonicTime, way: (IPAddress) -> DNSWay?) {
        self.query = query
        self.message = message
        deadline = now + DNSDefaults.patience
        let usable = query.upstreams.compactMap { upstream -> Resolver? in
            switch upstream {
            case .plain(let target):
                way(target.address).map { Resolver(target: target, way: $0, service: .plain) }
            case .peer(let target, let path):
                // Clear text is for the tunnel, which seals it.
                way(target.address) == .tunnel
                    ? Resolver(target: target, way: .tunnel, service: .http(path: path)) : nil
            case .https(let resolver):
                // TLS is spoken by the host's network alone.
                resolver.targets.first { way($0.address) == .host }.map {
                    Resolver(target: $0, way: .host, service: .https(host: resolver.host, path: resolver.path))
                }
            case .unusable: nil
            }
        }
        resolvers = Array(usable.prefix(DNSDefaults.maximumResolvers))
        guard !resolvers.isEmpty else { return nil }
        streamsAt = isStream ? nil : now + DNSDefaults.headStart
    }

    /// Whether the guest asked over TCP.
    var isStream: Bool {
        if case .stream = query.client { true } else { false }
    }

    /// Whether everyone who was asked refused.
    var isRefused: Bool { resolvers.allSatisfy { $0.failure == .refused } }

    /// Everything that goes on.
    var attempts: [Attempt] { resolvers.flatMap(\.attempts) }

    /// When there is something to do at the latest.
    var nextDeadline: MonotonicTime {
        var earliest = min(deadline, streamsAt ?? deadline)
        for resolver in resolvers {
            for attempt in resolver.attempts { earliest = min(earliest, attempt.deadline) }
        }
        return earliest
    }

    /// The attempt of an exchange, and whose it is.
    func place(of exchange: DNSExchange.ID) -> (resolver: Int, attempt: Attempt)? {
        for (index, resolver) in resolvers.enumerated() {
            if let attempt = resolver.attempts.first(where: { $0.id == exchange }) { return (index, attempt) }
        }
        return nil
    }

    /// The message as an answer to this query; nil when it is none.
    func accept(_ bytes: [UInt8], identifier: UInt16) -> DNSEnvelope? {
        guard let answer = try? DNSEnvelope(parsing: bytes), answer.flags.isResponse, answer.identifier == identifier
        else { return nil }
        // Servers that do not understand a query may leave the question out.
        if let question = answer.question { return question == message.question ? answer : nil }
        return answer.flags.responseCode == .success ? nil : answer
    }

    /// The answer under the guest's identifier, and truncated when the guest cannot take it as a datagram.
    func fitted(_ answer: DNSEnvelope) -> [UInt8] {
        var answer = answer
        answer.identifier = message.identifier
        return isStream || answer.bytes.count <= message.payloadByteCount ? answer.bytes : answer.truncated
    }
}
