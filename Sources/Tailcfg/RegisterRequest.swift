package import WarrenCrypto

/// The body of `POST /machine/register`.
package struct RegisterRequest: Hashable, Sendable {
    /// What the client understands; 0 is refused.
    package var version: CapabilityVersion
    /// The key being registered.
    package var nodeKey: NodePublicKey
    /// The key it replaces, zero for none.
    package var oldNodeKey = NodePublicKey.zero
    /// The Ed25519 tailnet-lock key, `nlpub:<64 hex>`.
    package var networkLockKey = "nlpub:" + String(repeating: "0", count: 64)
    /// The auth key; nil for interactive login.
    package var authKey: String?
    /// The wished end of the key: zero for none, in the past to log out.
    package var expiry = ControlTime.zero
    /// The auth URL that this request waits for, or empty.
    package var followup = ""
    /// What the node says about its host.
    package var hostinfo: Hostinfo?
    /// Whether the node is to vanish when it goes offline.
    package var ephemeral = false
    /// Base64, tailnet lock only.
    package var nodeKeySignature: String?
    /// A hint which tailnet is meant.
    package var tailnet = ""

    /// A request without credentials.
    package init(version: CapabilityVersion, nodeKey: NodePublicKey, hostinfo: Hostinfo?) {
        self.version = version
        self.nodeKey = nodeKey
        self.hostinfo = hostinfo
    }

    /// The expiry that means "log out": Unix time 123, as the Go client sends it.
    package static let logoutExpiry = ControlTime(seconds: 123)
}

extension RegisterRequest: Codable {
    private enum CodingKeys: String, CodingKey {
        case version = "Version"
        case nodeKey = "NodeKey"
        case oldNodeKey = "OldNodeKey"
        case networkLockKey = "NLKey"
        case auth = "Auth"
        case expiry = "Expiry"
        case followup = "Followup"
        case hostinfo = "Hostinfo"
        case ephemeral = "Ephemeral"
        case nodeKeySignature = "NodeKeySignature"
        case tailnet = "Tailnet"
    }

    /// The credentials object.
    private struct Credentials: Codable {
        var authKey: String?

        enum CodingKeys: String, CodingKey { case authKey = "AuthKey" }
    }

    /// Reads the object.
    package init(from decoder: any Decoder) throws {
        let members = try decoder.container(keyedBy: CodingKeys.self)
        version = try members.value(.version, or: 0)
        nodeKey = try members.value(.nodeKey, or: .zero)
        oldNodeKey = try members.value(.oldNodeKey, or: .zero)
        networkLockKey = try members.text(.networkLockKey)
        authKey = try members.decodeIfPresent(Credentials.self, forKey: .auth)?.authKey
        expiry = try members.value(.expiry, or: .zero)
        followup = try members.text(.followup)
        hostinfo = try members.decodeIfPresent(Hostinfo.self, forKey: .hostinfo)
        ephemeral = try members.flag(.ephemeral)
        nodeKeySignature = try members.decodeIfPresent(String.self, forKey: .nodeKeySignature)
        tailnet = try members.text(.tailnet)
    }

    /// Writes the object; the members that servers require are always there.
    package func encode(to encoder: any Encoder) throws {
        var members = encoder.container(keyedBy: CodingKeys.self)
        try members.encode(version, forKey: .version)
        try members.encode(nodeKey, forKey: .nodeKey)
        try members.encode(oldNodeKey, forKey: .oldNodeKey)
        try members.encode(networkLockKey, forKey: .networkLockKey)
        if let authKey { try members.encode(Credentials(authKey: authKey), forKey: .auth) }
        try members.encode(expiry, forKey: .expiry)
        try members.encode(followup, forKey: .followup)
        try members.encode(hostinfo, forKey: .hostinfo)
        try members.encode(ifTrue: ephemeral, forKey: .ephemeral)
        try members.encode(nodeKeySignature, forKey: .nodeKeySignature)
        try members.encode(unlessEmpty: tailnet, forKey: .tailnet)
    }
}
