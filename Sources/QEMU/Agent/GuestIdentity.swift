import FoundationEssentials
import WarrenModel

/// What makes a copy of a saved guest a machine of its own.
package struct GuestIdentity: Sendable {
    /// Octets that no other guest ever got, for its kernel's random generator.
    package let seed: [UInt8]
    /// 32 hex digits, as in /etc/machine-id.
    package let machineID: String
    /// Its host name until its network tells it another; nil keeps what the image has.
    package let hostname: String?

    /// Joins the parts; `seed` and `machineID` come from the host's generator.
    package init(seed: [UInt8], machineID: String, hostname: String?) {
        self.seed = seed
        self.machineID = machineID
        self.hostname = hostname
    }
}

extension GuestAgentClient {
    /// Whether the agent knows `reidentify`.
    package func canReidentify() async throws -> Bool {
        let commands = try await call("guest-info")["supported_commands"]?.array ?? []
        return commands.contains { $0["name"]?.string == Self.reidentifyCommand }
    }

    /// Makes a copy of a saved guest a machine of its own: entropy, time of day, machine id, host name, and the image's own part.
    ///
    /// - Throws: `QEMUError.refused`, and what `call` throws.
    package func reidentify(_ identity: GuestIdentity, timeout: Duration = QEMUDefaults.agentTimeout) async throws {
        var arguments: [String: JSONTree] = [
            "seed": .string(Data(identity.seed).base64EncodedString()),
            "machine-id": .string(identity.machineID),
        ]
        if let hostname = identity.hostname { arguments["hostname"] = .string(hostname) }
        // Taken last, so that the guest's clock is behind by the way there alone.
        arguments["time"] = Self.hostTime
        _ = try await call(Self.reidentifyCommand, arguments, timeout: timeout)
    }

    private static let reidentifyCommand = "warren-reidentify"
}
