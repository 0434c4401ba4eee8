package import NetTypes

/// The body of `PATCH /v1/tailnet/nodes/{id}`, a JSON merge patch (RFC 7396); nil members stay as they are.
package struct PatchTailnetNodeRequest: Hashable, Sendable {
    /// The new name; a null one gives the node back the name of its host.
    package var name: Change<String>?
    /// The new tags; none gives the node back to its user.
    package var tags: [String]?
    /// When the node's key ends; null = never.
    package var keyExpiry: Change<Timestamp>?
    /// Whether the node may take part.
    package var approved: Bool?

    /// What a nullable member becomes.
    package enum Change<Value: Hashable & Sendable>: Hashable, Sendable {
        /// Nothing.
        case clear
        /// This.
        case set(Value)
    }

    /// A patch that changes nothing.
    package init() {}

    /// Reads a body, or throws every fault in it.
    package init(_ body: JSONTree) throws(ValidationFailure) {
        self = try ObjectReader.decode(body) { reader in
            var patch = PatchTailnetNodeRequest()
            patch.name = Self.nullable(&reader, "name") { (reader: inout ObjectReader) -> String? in
                reader.parsed("name", format: "a DNS label such as web-1, and not localhost", nullable: true) { text in
                    text == "localhost" ? nil : DNSLabel(text)?.text
                }
            }
            patch.tags = reader.tags("tags")
            patch.keyExpiry = Self.nullable(&reader, "keyExpiry") { (reader: inout ObjectReader) -> Timestamp? in
                reader.parsed("keyExpiry", format: "a time such as 2027-01-02T03:04:05Z", nullable: true) {
                    Timestamp($0)
                }
            }
            patch.approved = reader.bool("approved")
            return patch
        }
    }

    private static func nullable<Value>(
        _ reader: inout ObjectReader,
        _ name: String,
        _ read: (inout ObjectReader) -> Value?
    ) -> Change<Value>? {
        if reader.tree(name)?.isNull == true { return .clear }
        return read(&reader).map { .set($0) }
    }
}

/// The body of `POST /v1/tailnet/nodes/{id}/routes`.
package struct ApproveRoutesRequest: Hashable, Sendable {
    /// All routes that the node may serve, offered already or not; replaces those of before.
    package var approved: [IPPrefix]

    /// Wraps the routes.
    package init(approved: [IPPrefix]) { self.approved = approved }

    /// Reads a body, or throws every fault in it.
    package init(_ body: JSONTree) throws(ValidationFailure) {
        self = try ObjectReader.decode(body) { reader in
            let faults = reader.faults
            let approved = reader.array("approved", count: 0...512, required: true) { tree, pointer -> IPPrefix? in
                guard let text = tree.string else {
                    faults.add(.wrongType, at: pointer, "must be a string, not \(tree.kind)")
                    return nil
                }
                guard let prefix = IPPrefix(text), prefix == prefix.masked else {
                    faults.add(.badFormat, at: pointer, "must be a prefix without host bits such as 10.0.0.0/24")
                    return nil
                }
                guard prefix.isServable else {
                    faults.add(
                        .refused,
                        at: pointer,
                        "no node may serve addresses of the tailnet itself or of one link"
                    )
                    return nil
                }
                return prefix
            }
            return approved.map { ApproveRoutesRequest(approved: $0) }
        }
    }
}

extension IPPrefix {
    /// Whether a node may serve the prefix as a route: not the tailnet's own addresses ("4via6" aside), nor such as
    /// no router forwards.
    package var isServable: Bool {
        if TailnetAddresses.viaRange.contains(self) { return true }
        if TailnetAddresses.ipv4Range.contains(self) || TailnetAddresses.ipv6Range.contains(self) { return false }
        if length == 0 { return true }
        return !(address.isLoopback || address.isLinkLocal || address.isMulticast || address.isUnspecified)
    }
}
