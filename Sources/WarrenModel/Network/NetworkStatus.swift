/// How a VM's node is: the `network` member of a VM.
package struct NetworkStatus: Hashable, Sendable, Codable {
    package var state: NetworkState
    package private(set) var stateCode: Int
    package var since: Timestamp
    @NullEncoded package var stateReason: StateReason?
    /// As good as a credential: masked before it is shown to those without `network:write`.
    @NullEncoded package var loginUrl: String?
    @NullEncoded package var loginUrlSince: Timestamp?
    package var addresses: [String]
    /// With its final dot.
    @NullEncoded package var dnsName: String?
    @NullEncoded package var nodeId: String?
    @NullEncoded package var tailnet: String?
    @NullEncoded package var keyExpiry: Timestamp?
    @NullEncoded package var exitNode: String?
    package var internet: InternetAccess
    @NullEncoded package var homeDerp: HomeDERP?
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
    package var regionId: Int
    package var regionCode: String
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
