package import NetTypes
import Tailcfg
package import WarrenModel

/// What an administrator decides about the embedded tailnet.
package struct TailnetRules: Hashable, Sendable {
    /// The MagicDNS suffix without trailing dot, lower case.
    package var domain: String
    /// Where IPv4 addresses come from.
    package var ipv4Range: IPPrefix
    /// Where IPv6 addresses come from.
    package var ipv6Range: IPPrefix
    /// How long a person's node key is good; nil = for ever.
    package var nodeKeyLifetimeSeconds: Int64?
    /// The login name of the one user.
    package var loginName: String
    /// The display name of the one user.
    package var displayName: String
    /// The name of the tailnet that clients show; the domain unless said.
    package var displayedTailnet: String
    /// Labels that no node gets, beside `localhost`.
    package var reservedLabels: Set<String> = []
    /// Whether a new node takes part only when an administrator approved it.
    package var approvesDevices = false
    /// How long an ephemeral node may be offline.
    package var ephemeralInactivitySeconds = CoordinationDefaults.ephemeralInactivitySeconds
    /// What clients are told about DNS as long as nobody set it by the API.
    package var dns = TailnetDNS()

    /// Rules with the defaults of an embedded server.
    package init(
        domain: String = "warren.internal",
        ipv4Range: IPPrefix = TailnetAddresses.ipv4Range,
        ipv6Range: IPPrefix = TailnetAddresses.ipv6Range,
        nodeKeyLifetimeSeconds: Int64? = nil
    ) {
        self.domain = domain
        self.ipv4Range = ipv4Range
        self.ipv6Range = ipv6Range
        self.nodeKeyLifetimeSeconds = nodeKeyLifetimeSeconds
        loginName = "admin@\(domain)"
        displayName = "Admin"
        displayedTailnet = domain
    }

    /// What clients show about a user.
    func profile(of user: UserID) -> UserProfile {
        user == CoordinationConstants.taggedUser
            ? UserProfile(id: user, loginName: "tagged-devices", displayName: "Tagged Devices")
            : UserProfile(id: user, loginName: loginName, displayName: displayName)
    }
}
