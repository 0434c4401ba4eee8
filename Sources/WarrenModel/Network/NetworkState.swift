/// The state of a VM's node, by upstream's names and numbers (tailscale ipn/backend.go).
package enum NetworkState: String, Hashable, Sendable, Codable, CaseIterable {
    case noState = "NoState"
    case inUseOtherUser = "InUseOtherUser"
    case needsLogin = "NeedsLogin"
    case needsMachineAuth = "NeedsMachineAuth"
    case stopped = "Stopped"
    case starting = "Starting"
    case running = "Running"

    /// Upstream's number, 0…6.
    package var code: Int {
        switch self {
        case .noState: 0
        case .inUseOtherUser: 1
        case .needsLogin: 2
        case .needsMachineAuth: 3
        case .stopped: 4
        case .starting: 5
        case .running: 6
        }
    }
}

/// Whether a guest reaches the internet: only through an exit node.
package enum InternetAccess: Hashable, Sendable {
    /// Not at all.
    case blocked
    /// Through the exit node of this name.
    case exitNode(String)
}

extension InternetAccess: Codable, CustomStringConvertible {
    /// `blocked` or `exit-node:<name>`.
    package var description: String {
        switch self {
        case .blocked: "blocked"
        case .exitNode(let name): "exit-node:\(name)"
        }
    }

    /// Reads the JSON form.
    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        if text == "blocked" {
            self = .blocked
        } else if text.hasPrefix("exit-node:") {
            self = .exitNode(String(text.dropFirst("exit-node:".count)))
        } else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "neither blocked nor exit-node:")
        }
    }

    /// Writes the JSON form.
    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}

/// How far the clean-up of a deleted VM's node is.
package enum CleanupState: String, Hashable, Sendable, Codable, CaseIterable {
    case pending, done
    case gaveUp = "gave-up"
}
