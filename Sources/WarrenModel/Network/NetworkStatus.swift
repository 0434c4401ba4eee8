/// How a VM's node is: the `network` member of a VM.
package struct NetworkStatus: Hashable, Sendable, Codable {
    /// What it is doing.
    package var state: NetworkState
    /// The number of `state`.
    package private(set) var stateCode: Int
    /// Since when `state` holds.
    package var since: Timestamp
    /// Why, when that is not obvious.
    @NullEncoded package var stateReason: StateReason?
    /// As good as a credential: masked before it is shown to those without `network:write`.
    @NullEncoded package var loginUrl: String?
    /// Since when the login URL is offered.
    @NullEncoded package var loginUrlSince: Timestamp?
    /// The tailnet addresses.
    package var addresses: [String]
    /// With its final dot.
    @NullEncoded package var dnsName: String?
    /// What control calls the node.
    @NullEncoded package var nodeId: String?
    /// The name of the tailnet.
    @NullEncoded package var tailnet: String?
    /// When its key ends, or null for never.
    @NullEncoded package var keyExpiry: Timestamp?
    /// The name of the exit node that was chosen, or null without one.
    @NullEncoded package var exitNode: String?
    /// Whether the guest reaches the internet.
    package var internet: InternetAccess
    /// The relay at which others find the node.
    @NullEncoded package var homeDerp: HomeDERP?
    /// How many peers the node has.
    package var peerCount: Int
    /// What is degraded, one sentence each.
    package var health: [String]
    /// Only for a deleted VM: how far the logout of its node is.
    package var cleanup: CleanupState?

    /// A node as it is before anything is known.
    package init(state: NetworkState = .noState, since: Timestamp, stateReason: StateReason? = nil) {
        self.state = state
        stateCode = state.code
        self.since = since
        self.stateReason = stateReason
        loginUrl = nil
        loginUrlSince = nil
        addresses = []
        dnsName = nil
        nodeId = nil
        tailnet = nil
        keyExpiry = nil
        exitNode = nil
        internet = .blocked
        homeDerp = nil
        peerCount = 0
        health = []
    }

    /// Moves to another state at `now`; the same state keeps its beginning.
    package mutating func enter(_ state: NetworkState, reason: StateReason? = nil, now: Timestamp) {
        if state != self.state { since = now }
        self.state = state
        stateCode = state.code
        stateReason = reason
    }

    /// The status with the login URL masked, for those who may not log in.
    package var masked: NetworkStatus {
        var copy = self
        copy.loginUrl = loginUrl.map(LoginURL.masked)
        return copy
    }
}

/// The relay that a node calls home.
package struct HomeDERP: Hashable, Sendable, Codable {
    /// The number of the region.
    package var regionId: Int
    /// The short name of the region.
    package var regionCode: String
    /// The round trip in milliseconds, or null before it was measured.
    @NullEncoded package var latencyMs: Double?

    /// Joins the parts.
    package init(regionId: Int, regionCode: String, latencyMs: Double?) {
        self.regionId = regionId
        self.regionCode = regionCode
        self.latencyMs = latencyMs
    }
}

/// How login URLs are shown to those who may not use them.
package enum LoginURL {
    /// The URL with everything after its host replaced by dots.
    package static func masked(_ text: String) -> String {
        guard let url = WebURL(text) else { return "…" }
        return "\(url.scheme.rawValue)://\(url.authority)/…"
    }
}
