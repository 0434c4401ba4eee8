import Tailcfg
import WarrenCrypto

extension TailnetState {
    /// Why tags may not be had, or nil: they must come with the key or be the user's to give.
    func refusal(of requested: [String], keyTags: [String]) -> String? {
        let refused = requested.filter { !keyTags.contains($0) && !policy.permitsTag($0, toHolderOf: []) }
        guard !refused.isEmpty else { return nil }
        return "requested tags [\(refused.joined(separator: " "))] are invalid or not permitted"
    }

    /// The tags of a node that asks for other ones while it is connected; its own when it may not have them.
    ///
    /// Asking for none changes nothing: only a login gives a node back to its user.
    func tags(of node: NodeRecord, asking requested: [String], now: ControlTime) -> [String] {
        guard !requested.isEmpty, requested != node.hostinfo.requestTags, !node.isExpired(at: now),
            requested.allSatisfy({ node.tags.contains($0) || policy.permitsTag($0, toHolderOf: node.tags) })
        else { return node.tags }
        return Self.unique(requested)
    }

    /// Gives a node tags, or with none gives it back to its user.
    func setTags(_ tags: [String], of node: inout NodeRecord, now: ControlTime) {
        let tags = Self.unique(tags)
        guard tags != node.tags else { return }
        if tags.isEmpty || node.tags.isEmpty {
            node.user = tags.isEmpty ? CoordinationConstants.soleUser : CoordinationConstants.taggedUser
            node.keyExpiry = keyExpiry(wish: .zero, isPermanent: !tags.isEmpty || node.isEphemeral, now: now)
        }
        node.tags = tags
    }

    private static func unique(_ tags: [String]) -> [String] {
        var seen: Set<String> = []
        return tags.filter { seen.insert($0).inserted }
    }
}
