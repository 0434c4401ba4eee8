/// Something that happened, with its place in the one sequence of this host.
package struct Event: Hashable, Sendable, Codable {
    /// The identifier.
    package var id: EventID
    /// Grows by at least one with every event.
    package var seq: Int64
    /// What happened.
    package var type: EventType
    /// When it happened.
    package var timestamp: Timestamp
    /// Holds `vm` with `id`, `name` and `labels`, and what the type adds.
    package var data: JSONTree

    /// Joins the parts.
    package init(id: EventID, seq: Int64, type: EventType, timestamp: Timestamp, data: JSONTree) {
        self.id = id
        self.seq = seq
        self.type = type
        self.timestamp = timestamp
        self.data = data
    }

    /// The event with its login URL masked, for those who may not use it and for logins that ended.
    package var masked: Event {
        var copy = self
        copy.data = data.maskingLoginURL
        return copy
    }
}

extension JSONTree {
    /// The document with the text of a top-level `loginUrl` masked.
    package var maskingLoginURL: JSONTree {
        guard case .object(var members) = self, let url = members["loginUrl"]?.string else { return self }
        members["loginUrl"] = .string(LoginURL.masked(url))
        return .object(members)
    }
}

/// An event about to be recorded: the store adds id, sequence, time and the VM it is about.
package struct EventDraft: Hashable, Sendable {
    /// What happened.
    package let type: EventType
    /// What the type adds to `data`.
    package let details: [String: JSONTree]

    /// Joins the two.
    package init(_ type: EventType, _ details: [String: JSONTree] = [:]) {
        self.type = type
        self.details = details
    }

    /// A change of the VM itself, with its reason when there is one.
    package init(_ type: EventType, reason: StateReason?) {
        self.init(type, reason.map { ["reason": Self.tree($0)] } ?? [:])
    }

    /// A person has to log in at `loginURL`; `supersedes` is the id of the event whose URL is void now.
    package static func loginRequired(
        loginURL: String,
        supersedes: EventID? = nil,
        expiresAt: Timestamp? = nil
    ) -> EventDraft {
        EventDraft(
            .networkLoginRequired,
            [
                "loginUrl": .string(loginURL), "supersedes": .optional(supersedes?.description),
                "expiresAt": .optional(expiresAt?.description),
            ]
        )
    }

    /// The node moved from one state to another.
    package static func stateChanged(
        to state: NetworkState,
        from previous: NetworkState,
        reason: StateReason? = nil
    ) -> EventDraft {
        EventDraft(
            .networkStateChanged,
            [
                "state": .string(state.rawValue), "stateCode": .integer(Int64(state.code)),
                "previous": .string(previous.rawValue), "stateReason": reason.map(tree) ?? .null,
            ]
        )
    }

    /// The guest reaches the internet another way, or not any more.
    package static func exitNodeChanged(
        to name: String?,
        from previous: String?,
        internet: InternetAccess,
        reason: StateReason? = nil
    ) -> EventDraft {
        EventDraft(
            .networkExitNodeChanged,
            [
                "exitNode": .optional(name), "previous": .optional(previous),
                "internet": .string(internet.description), "reason": reason.map(tree) ?? .null,
            ]
        )
    }

    /// The node's view of its tailnet changed.
    package static func netmapChanged(addresses: [String], peers: [PeerStatus]) -> EventDraft {
        let peers = peers.map { peer in
            JSONTree.object([
                "name": .string(peer.name), "addresses": .array(peer.addresses.map(JSONTree.string)),
                "online": peer.online.map(JSONTree.bool) ?? .null, "exitNode": .bool(peer.exitNode),
            ])
        }
        return EventDraft(
            .networkNetmapChanged,
            ["netmap": ["self": ["addresses": .array(addresses.map(JSONTree.string))], "peers": .array(peers)]]
        )
    }

    private static func tree(_ reason: StateReason) -> JSONTree {
        ["code": .string(reason.code), "message": .string(reason.message)]
    }
}
