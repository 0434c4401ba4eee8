package import Tailcfg
package import WarrenCrypto

/// An auth key as the server keeps it: never the secret itself.
package struct AuthKeyRecord: Hashable, Sendable, Codable {
    /// The public part of the key's text.
    package let id: String
    /// SHA-256 of the whole text.
    package let hash: [UInt8]
    /// Whether more than one node may join with it.
    package let isReusable: Bool
    /// Whether nodes that join with it are ephemeral.
    package let isEphemeral: Bool
    /// Tags of the nodes that join with it.
    package let tags: [String]
    /// When it was made.
    package let created: ControlTime
    /// When it ends.
    package let expires: ControlTime
    /// Whether nodes that join with it need no approval.
    package let isPreapproved: Bool
    /// The first machine that joined with it, and when.
    package var use: Use?
    /// How many registrations it let in.
    package var useCount = 0
    /// Whether an administrator took it back.
    package var isRevoked = false

    /// Who used a key first.
    package struct Use: Hashable, Sendable, Codable {
        /// The node that came of it.
        package let node: NodeID
        /// Its machine.
        package let machineKey: MachinePublicKey
        /// When.
        package let time: ControlTime
    }
}

/// The text of auth keys: `tskey-auth-<id>-<secret>`.
package enum AuthKeyText {
    private static let prefix = "tskey-auth-"

    /// Makes a new key: 48 random bits of id, 192 of secret.
    package static func make() -> (id: String, text: String) {
        let id = hex(RandomBytes.make(count: 6))
        return (id, "\(prefix)\(id)-\(hex(RandomBytes.make(count: 24)))")
    }

    /// The id inside a key's text, or nil when it is none of ours.
    package static func id(in text: String) -> String? {
        guard text.hasPrefix(prefix) else { return nil }
        let parts = text.dropFirst(prefix.count).split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 2, !parts[0].isEmpty, !parts[1].isEmpty else { return nil }
        return String(parts[0])
    }

    static func hex(_ bytes: [UInt8]) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }
}

/// What became of an auth key that a machine presented.
package enum AuthKeyVerdict: Hashable, Sendable {
    /// Good, or a repetition by the machine that used it.
    case accepted(id: String)
    /// Refused with this text, which the user reads.
    case refused(String)
}
