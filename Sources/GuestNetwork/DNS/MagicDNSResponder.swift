package import NetTypes
package import NetWire

/// A query that a resolver elsewhere must answer.
package struct DNSQuery: Equatable, Sendable {
    /// Where the guest asked from.
    package let client: DNSClient
    /// The query as it came.
    package let message: [UInt8]
    /// The name asked for.
    package let name: DNSName
    /// Who is asked: all of them, and the first good answer wins.
    package let upstreams: [DNSUpstream]

    /// A query of these values.
    package init(client: DNSClient, message: [UInt8], name: DNSName, upstreams: [DNSUpstream]) {
        self.client = client
        self.message = message
        self.name = name
        self.upstreams = upstreams
    }
}

/// Who waits for an answer.
package enum DNSClient: Hashable, Sendable {
    /// A socket of the guest that sent a datagram to this address of the resolver's.
    case datagram(AddressPort, to: IPAddress)
    /// A TCP connection of the guest, by its number.
    case stream(UInt64)
}

/// Answers the guest's DNS queries from the netmap (tailscale net/dns/resolver).
package struct MagicDNSResponder: Sendable {
    /// What the resolver knows.
    package var zone: DNSZone

    /// A resolver that knows `zone`.
    package init(zone: DNSZone = DNSZone()) {
        self.zone = zone
    }

    /// What becomes of a query.
    package enum Verdict: Equatable, Sendable {
        /// Send this.
        case reply([UInt8])
        /// Ask these.
        case resolve(DNSName, [DNSUpstream])
    }

    // How long answers may be remembered: the values of Tailscale's client, which follow a netmap closely.
    private static let lifetimeSeconds: UInt32 = 5
    private static let authoritySeconds: UInt32 = 10

    private enum Local {
        case found(DNSRecord.Content)
        case empty(authority: DNSName?)
        case missing(authority: DNSName?)
        case notImplemented
        case elsewhere
    }

    /// Decides about the octets of a query; `unixTime` is the serial number of a zone, asked for only when one is told.
    package func answer(_ query: Span<UInt8>, unixTime: () -> UInt32) -> Verdict {
        guard let header = try? DNSHeader(parsing: query) else {
            return .reply(Self.response(identifier: 0, DNSFlags(rawValue: 0), .formatError, question: nil).bytes)
        }
        var cursor = DNSHeader.byteCount
        guard !header.flags.isResponse, header.questionCount > 0,
            let question = try? DNSQuestion(parsing: query, at: &cursor)
        else {
            return .reply(Self.response(identifier: header.identifier, header.flags, .formatError, question: nil).bytes)
        }
        let local = question.type == .ptr ? reverse(question.name) : forward(question)
        var response: DNSMessage
        switch local {
        case .found(let content):
            response = Self.response(header, .success, question)
            response.answers = [
                DNSRecord(name: question.name, lifetimeSeconds: Self.lifetimeSeconds, content: content)
            ]
        case .empty(let zone):
            response = Self.response(header, .success, question)
            response.authorities = Self.authorities(zone, unixTime)
        case .missing(let zone):
            response = Self.response(header, .nameError, question)
            response.authorities = Self.authorities(zone, unixTime)
        case .notImplemented:
            response = Self.response(header, .notImplemented, question)
        case .elsewhere:
            return elsewhere(header, question)
        }
        return .reply(response.bytes)
    }

    /// What a query gets when its resolvers did not answer it, SERVFAIL or REFUSED; nil for what is not a query.
    package static func failure(
        _ code: DNSResponseCode = .serverFailure,
        of query: Span<UInt8>
    ) -> [UInt8]? {
        var cursor = DNSHeader.byteCount
        guard let header = try? DNSHeader(parsing: query), !header.flags.isResponse, header.questionCount > 0,
            let question = try? DNSQuestion(parsing: query, at: &cursor)
        else { return nil }
        return failure(code, header, question).bytes
    }

    private static func failure(
        _ code: DNSResponseCode,
        _ header: DNSHeader,
        _ question: DNSQuestion
    ) -> DNSMessage {
        var flags = keptFlags(header.flags)
        flags.isAuthoritative = true
        flags.responseCode = code
        return DNSMessage(identifier: header.identifier, flags: flags, questions: [question])
    }

    private func elsewhere(_ header: DNSHeader, _ question: DNSQuestion) -> Verdict {
        if Self.isServiceDiscovery(question.name) {
            var flags = Self.keptFlags(header.flags)
            flags.recursionAvailable = flags.recursionDesired
            flags.responseCode = .nameError
            return .reply(DNSMessage(identifier: header.identifier, flags: flags, questions: [question]).bytes)
        }
        let upstreams = zone.upstreams(for: question.name)
        guard !upstreams.isEmpty else { return .reply(Self.failure(.serverFailure, header, question).bytes) }
        return .resolve(question.name, upstreams)
    }

    private func reverse(_ name: DNSName) -> Local {
        guard let address = name.reverseAddress else { return .elsewhere }
        if address == .v4(TailnetAddresses.serviceIPv4) || address == .v6(TailnetAddresses.serviceIPv6) {
            return .found(.pointer(DNSZone.serviceName))
        }
        if let found = zone.name(of: address) { return .found(.pointer(found)) }
        return missing(name)
    }

    private func forward(_ question: DNSQuestion) -> Local {
        let name = question.name
        // RFC 7686: such names are never for DNS.
        if let top = name.labels.last, top == "onion", name.labels.count > 1 { return .missing(authority: nil) }
        if name == DNSZone.serviceName {
            if question.type == .a { return .found(.ipv4(TailnetAddresses.serviceIPv4)) }
            if question.type == .aaaa { return .found(.ipv6(TailnetAddresses.serviceIPv6)) }
        }
        let wantsAddress = [.a, .aaaa, .any].contains(question.type)
        if wantsAddress, let via = name.viaAddress {
            return question.type == .a ? .empty(authority: zone.authority(over: name)) : .found(.ipv6(via))
        }
        guard let addresses = zone.addresses(of: name) else { return missing(name) }
        let found: IPAddress? =
            switch question.type {
            case .a: addresses.first { $0.isIPv4 }
            case .aaaa: addresses.first { !$0.isIPv4 }
            case .any: addresses.first
            default: nil
            }
        switch found {
        case .v4(let address): return .found(.ipv4(address))
        case .v6(let address): return .found(.ipv6(address))
        case nil: break
        }
        if [.ns, .soa, .axfr, .hinfo].contains(question.type) { return .notImplemented }
        return .empty(authority: wantsAddress ? zone.authority(over: name) : nil)
    }

    private func missing(_ name: DNSName) -> Local {
        zone.authority(over: name).map { .missing(authority: $0) } ?? .elsewhere
    }

    // Browsing for services by the name of one's network: noise that no resolver should hear.
    private static func isServiceDiscovery(_ name: DNSName) -> Bool {
        let labels = name.labels
        return labels.count > 2 && ["b", "db", "r", "dr", "lb"].contains(labels[0]) && labels[1] == "_dns-sd"
            && labels[2] == "_udp"
    }

    private static func authorities(_ zone: DNSName?, _ unixTime: () -> UInt32) -> [DNSRecord] {
        guard let zone else { return [] }
        let content = DNSStartOfAuthority(
            primaryServer: zone,
            mailbox: zone,
            serial: unixTime(),
            refreshSeconds: authoritySeconds,
            retrySeconds: authoritySeconds,
            expireSeconds: authoritySeconds,
            minimumSeconds: authoritySeconds
        )
        return [DNSRecord(name: zone, lifetimeSeconds: authoritySeconds, content: .startOfAuthority(content))]
    }

    private static func response(
        _ header: DNSHeader,
        _ code: DNSResponseCode,
        _ question: DNSQuestion
    ) -> DNSMessage {
        response(identifier: header.identifier, header.flags, code, question: question)
    }

    private static func response(
        identifier: UInt16,
        _ queryFlags: DNSFlags,
        _ code: DNSResponseCode,
        question: DNSQuestion?
    ) -> DNSMessage {
        var flags = keptFlags(queryFlags)
        flags.isAuthoritative = true
        if flags.recursionDesired { flags.recursionAvailable = true }
        flags.responseCode = code
        return DNSMessage(identifier: identifier, flags: flags, questions: question.map { [$0] } ?? [])
    }

    // Everything comes back but the reserved bit and AD, which would say that something was verified here; the code is
    // set by who answers.
    private static func keptFlags(_ flags: DNSFlags) -> DNSFlags {
        var kept = DNSFlags(rawValue: flags.rawValue & 0xFF90)
        kept.isResponse = true
        return kept
    }
}
