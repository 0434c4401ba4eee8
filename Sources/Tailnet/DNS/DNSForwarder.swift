import GuestNetwork
import NetTypes
import NetWire

/// Decides who is asked about a name, how often, and which answer the guest gets (tailscale net/dns/resolver).
///
/// Queries, answers and the time go in; exchanges to begin and to end, and answers for the guest, come out.
struct DNSForwarder {
    /// What is to be done.
    enum Action: Equatable {
        /// Send a message and wait for its answer.
        case begin(DNSExchange)
        /// The answer is no longer wanted.
        case end(DNSExchange.ID)
        /// Tell the guest.
        case answer(DNSQuery, [UInt8])
    }

    private var pending: [UInt64: PendingQuery] = [:]
    private var owners: [DNSExchange.ID: UInt64] = [:]
    private var lastID: UInt64 = 0
    private var actions: [Action] = []
    private var rate = TokenBucket(perSecond: DNSDefaults.queriesPerSecond, burst: DNSDefaults.queryBurst)
    private var generator: any RandomNumberGenerator

    /// A forwarder that is not asked anything yet; identifiers come from `generator`.
    init(generator: any RandomNumberGenerator = SystemRandomNumberGenerator()) {
        self.generator = generator
    }

    /// How many queries wait for their answers.
    var pendingCount: Int { pending.count }

    /// When `tick` is due.
    var nextDeadline: MonotonicTime? {
        var earliest: MonotonicTime?
        for query in pending.values {
            let deadline = query.nextDeadline
            earliest = min(earliest ?? deadline, deadline)
        }
        return earliest
    }

    /// Hands over what is to be done.
    mutating func takeActions() -> [Action] {
        defer { actions.removeAll() }
        return actions
    }

    /// Takes a query; `way` tells how an address is reached, nil for not at all.
    mutating func ask(_ query: DNSQuery, now: MonotonicTime, way: (IPAddress) -> DNSWay?) {
        guard rate.take(now: now), pending.count < DNSDefaults.maximumPending,
            let message = try? DNSEnvelope(parsing: query.message),
            var next = PendingQuery(query, message, now: now, way: way)
        else { return fail(query, .serverFailure) }
        lastID += 1
        let id = lastID
        for index in next.resolvers.indices {
            switch next.resolvers[index].service {
            case .plain:
                begin(.datagram, index, of: &next, id, now)
                if next.isStream { begin(.stream, index, of: &next, id, now) }
            case .http(let path): begin(.http(path: path), index, of: &next, id, now)
            case .https(let host, let path): begin(.https(host: host, path: path), index, of: &next, id, now)
            }
        }
        pending[id] = next
    }

    /// Takes the answer to an exchange; one that cannot be meant is ignored where another may still come.
    mutating func received(_ message: [UInt8], in exchange: DNSExchange.ID, now: MonotonicTime) {
        guard let id = owners[exchange], var query = pending[id], let place = query.place(of: exchange) else { return }
        guard let answer = query.accept(message, identifier: place.attempt.identifier) else {
            // Datagrams may come from anywhere; a stream has nothing more to tell.
            if place.attempt.carrier != .datagram { failed(exchange, now: now) }
            return
        }
        let code = answer.flags.responseCode
        if code == .serverFailure || code == .refused {
            for attempt in query.resolvers[place.resolver].attempts { end(attempt.id) }
            query.resolvers[place.resolver].attempts.removeAll()
            query.resolvers[place.resolver].failure = code
            return settle(query, id)
        }
        if answer.flags.isTruncated, query.isStream, place.attempt.carrier == .datagram {
            // The stream that was opened beside it brings the whole.
            return failed(exchange, now: now)
        }
        finish(query, id, with: query.fitted(answer))
    }

    /// Learns that an exchange brings nothing.
    mutating func failed(_ exchange: DNSExchange.ID, now: MonotonicTime) {
        guard let id = owners[exchange], var query = pending[id], let place = query.place(of: exchange) else { return }
        end(exchange)
        query.resolvers[place.resolver].attempts.removeAll { $0.id == exchange }
        if place.attempt.carrier == .datagram, !query.resolvers[place.resolver].hasTriedStream {
            begin(.stream, place.resolver, of: &query, id, now)
        }
        if query.resolvers[place.resolver].attempts.isEmpty {
            query.resolvers[place.resolver].failure = .serverFailure
        }
        settle(query, id)
    }

    /// Does what is due.
    mutating func tick(now: MonotonicTime) {
        for (id, query) in pending where query.nextDeadline <= now {
            guard query.deadline > now else {
                finish(query, id, with: nil)
                continue
            }
            var query = query
            if let due = query.streamsAt, due <= now {
                query.streamsAt = nil
                for index in query.resolvers.indices where query.resolvers[index].waitsForStream {
                    begin(.stream, index, of: &query, id, now)
                }
            }
            pending[id] = query
            for attempt in query.attempts where attempt.deadline <= now { failed(attempt.id, now: now) }
        }
    }

    private mutating func begin(
        _ carrier: DNSExchange.Carrier,
        _ index: Int,
        of query: inout PendingQuery,
        _ id: UInt64,
        _ now: MonotonicTime
    ) {
        lastID += 1
        let resolver = query.resolvers[index]
        var message = query.message
        message.identifier = UInt16.random(in: .min ... .max, using: &generator)
        // Through the tunnel, an answer of more than a packet would come in fragments, which not every resolver's
        // network lets pass: a truncated one is asked for again over TCP.
        message.limitPayload(to: resolver.way == .tunnel ? DNSDefaults.tunnelPayload : DNSDefaults.hostPayload)
        let limit: Duration = carrier == .datagram ? DNSDefaults.patience : DNSDefaults.streamPatience
        query.resolvers[index].attempts.append(
            PendingQuery.Attempt(
                id: lastID,
                carrier: carrier,
                identifier: message.identifier,
                deadline: min(now + limit, query.deadline)
            )
        )
        if carrier == .stream { query.resolvers[index].hasTriedStream = true }
        owners[lastID] = id
        let exchange = DNSExchange(
            id: lastID,
            target: resolver.target,
            way: resolver.way,
            carrier: carrier,
            message: message.bytes
        )
        actions.append(.begin(exchange))
    }

    private mutating func end(_ exchange: DNSExchange.ID) {
        owners[exchange] = nil
        actions.append(.end(exchange))
    }

    /// Keeps a query that somebody may still answer.
    private mutating func settle(_ query: PendingQuery, _ id: UInt64) {
        if query.resolvers.allSatisfy({ $0.failure != nil }) {
            finish(query, id, with: nil)
        } else {
            pending[id] = query
        }
    }

    private mutating func finish(_ query: PendingQuery, _ id: UInt64, with answer: [UInt8]?) {
        for attempt in query.attempts { end(attempt.id) }
        pending[id] = nil
        guard let answer else { return fail(query.query, query.isRefused ? .refused : .serverFailure) }
        actions.append(.answer(query.query, answer))
    }

    private mutating func fail(_ query: DNSQuery, _ code: DNSResponseCode) {
        if let answer = MagicDNSResponder.failure(code, of: query.message.span) {
            actions.append(.answer(query, answer))
        }
    }
}

/// How often something may be done: so many times a second in the long run, and so many at once.
struct TokenBucket {
    private let interval: Duration
    private let burst: Duration
    // When the bucket will be full again, so to speak.
    private var fullAt = MonotonicTime.zero

    /// A full bucket.
    init(perSecond: Int, burst: Int) {
        interval = .seconds(1) / perSecond
        self.burst = interval * burst
    }

    /// Takes one, if there is one.
    mutating func take(now: MonotonicTime) -> Bool {
        let next = max(fullAt, now) + interval
        guard next - now <= burst else { return false }
        fullAt = next
        return true
    }
}
