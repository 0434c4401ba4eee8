/// By which means a peer is asked for a sign of life, as the API calls it.
package enum NetworkPingKind: String, Hashable, Sendable, Codable, CaseIterable {
    /// Outside of the tunnel, by the messages that keep paths.
    case disco
    /// Through the tunnel, answered by the peer's node.
    case tsmp
    /// Through the tunnel, answered by the peer's system if its packet filter allows.
    case icmp
}

/// The body of `POST /v1/vms/{vm}/network/ping`.
package struct NetworkPingRequest: Hashable, Sendable {
    /// A name, a tailnet address or a stable node id.
    package let peer: String
    /// By which means.
    package let kind: NetworkPingKind
    /// How often.
    package let count: Int

    /// More in one request would hold it for too long.
    package static let maxCount = 10

    /// Joins the parts.
    package init(peer: String, kind: NetworkPingKind = .disco, count: Int = 1) {
        self.peer = peer
        self.kind = kind
        self.count = count
    }

    /// Reads a body, or throws every fault in it.
    package init(_ body: JSONTree) throws(ValidationFailure) {
        self = try ObjectReader.decode(body) { reader in
            NetworkPingRequest(
                peer: reader.string("peer", octets: 1...253, required: true) ?? "",
                kind: reader.choice("kind") ?? .disco,
                count: reader.integer("count", in: 1...Self.maxCount) ?? 1
            )
        }
    }
}

/// The answer of `POST /v1/vms/{vm}/network/ping`: the last reply, and all of them.
package struct NetworkPingAnswer: Hashable, Sendable, Codable {
    /// The name of the peer.
    package var peer: String
    /// The address that was asked.
    package var address: String
    /// By which means.
    package var kind: NetworkPingKind
    /// One for each question, in order.
    package var replies: [NetworkPingReply]
    private var last: NetworkPingReply

    /// Joins the parts; there is at least one reply.
    package init?(peer: String, address: String, kind: NetworkPingKind, replies: [NetworkPingReply]) {
        guard let last = replies.last(where: { $0.error == nil }) ?? replies.last else { return nil }
        self.peer = peer
        self.address = address
        self.kind = kind
        self.replies = replies
        self.last = last
    }

    private enum CodingKeys: String, CodingKey { case peer, address, kind, replies }

    /// Reads the JSON form.
    package init(from decoder: any Decoder) throws {
        let members = try decoder.container(keyedBy: CodingKeys.self)
        peer = try members.decode(String.self, forKey: .peer)
        address = try members.decode(String.self, forKey: .address)
        kind = try members.decode(NetworkPingKind.self, forKey: .kind)
        replies = try members.decode([NetworkPingReply].self, forKey: .replies)
        last = try NetworkPingReply(from: decoder)
    }

    /// Writes the JSON form; the members of the best reply stand beside the others.
    package func encode(to encoder: any Encoder) throws {
        var members = encoder.container(keyedBy: CodingKeys.self)
        try members.encode(peer, forKey: .peer)
        try members.encode(address, forKey: .address)
        try members.encode(kind, forKey: .kind)
        try members.encode(replies, forKey: .replies)
        try last.encode(to: encoder)
    }
}

/// What came of one question.
package struct NetworkPingReply: Hashable, Sendable, Codable {
    /// The round trip in milliseconds, or null without an answer.
    @NullEncoded package var latencyMs: Double?
    /// `direct` or `derp:<code>`, or null without an answer.
    @NullEncoded package var path: String?
    /// The code of the relay region that carried it, or null.
    @NullEncoded package var region: String?
    /// The address that the answer came from directly, or null.
    @NullEncoded package var endpoint: String?
    /// `timed-out`, `no-peer`, `no-disco`, `no-address`, `too-many` or `stopped`, or null with an answer.
    @NullEncoded package var error: String?

    /// Joins the parts.
    package init(
        latencyMs: Double? = nil,
        region: String? = nil,
        endpoint: String? = nil,
        error: String? = nil
    ) {
        self.latencyMs = latencyMs
        self.region = region
        self.endpoint = endpoint
        self.error = error
        path = error == nil ? region.map { "derp:\($0)" } ?? "direct" : nil
    }
}
