/// The state that the messages of a map stream add up to.
package struct NetworkMap: Hashable, Sendable {
    /// The own node, normalised.
    package var selfNode: Node
    /// The peers by number, normalised.
    package var peers = PeerTable()
    /// The relays; nil until control sent a map.
    package var derpMap: DERPMap?
    /// The resolver's configuration.
    package var dnsConfig = DNSConfig()
    /// The tailnet's display name.
    package var domain = ""
    /// Whether services are to be reported.
    package var collectServices = false
    /// The packet filter by name; no entry at all blocks everything, too.
    package var packetFilters: [String: [FilterRule]] = [:]
    /// Users by number.
    package var userProfiles: [UserID: UserProfile] = [:]
    /// Problems in the old form.
    package var health: [String] = []
    /// Messages by id in the new form; they take precedence over `health`.
    package var displayMessages: [String: DisplayMessage] = [:]
    /// The SSH policy, as it came.
    package var sshPolicy: JSONFragment?
    /// Whether tailnet lock is on.
    package var tailnetLock = false
    /// Where data-plane logs would go.
    package var domainDataPlaneAuditLogID = ""
    /// What to add to our clock to get control's; 0 unless they differ by more than a minute.
    package var controlClockOffsetSeconds: Int64 = 0

    /// A map of nothing but oneself.
    package init(selfNode: Node) { self.selfNode = selfNode }

    /// The rules of all named filters in the order of their names; empty = block everything.
    package var packetFilter: [FilterRule] {
        packetFilters.sorted { $0.key < $1.key }.flatMap(\.value)
    }

    /// The peers in the order of their numbers.
    package var sortedPeers: [Node] { peers.values.sorted { $0.id < $1.id } }

    /// Our clock corrected by control's.
    package func correctedTime(_ now: ControlTime) -> ControlTime { now.adding(seconds: controlClockOffsetSeconds) }

    /// Whether the own key has ended.
    package func isSelfExpired(at now: ControlTime) -> Bool { selfNode.isExpired(at: correctedTime(now)) }

    /// The messages for the user by id.
    package var messages: [String: DisplayMessage] {
        guard displayMessages.isEmpty else { return displayMessages }
        var messages: [String: DisplayMessage] = [:]
        for text in health { messages["health: \(text)"] = DisplayMessage(health: text) }
        return messages
    }

    /// The tailnet's DNS suffix without trailing dot: the own name minus its first label; empty when there is none.
    package var magicDNSSuffix: String {
        guard let dot = selfNode.name.firstIndex(of: ".") else { return "" }
        let suffix = selfNode.name[selfNode.name.index(after: dot)...]
        return String(suffix.hasSuffix(".") ? suffix.dropLast() : suffix).lowercased()
    }
}
