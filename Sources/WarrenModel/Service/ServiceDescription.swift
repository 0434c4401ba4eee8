/// The answer of `GET /v1`.
package struct ServiceDescription: Hashable, Sendable, Codable {
    /// The name.
    package var name: String
    /// The version of the daemon.
    package var version: String
    /// The ways in which this host can run guests.
    package var accelerators: [Accelerator]
    /// What it allows at most.
    package var limits: ServiceLimits
    /// What this version serves, as words.
    package var capabilities: [String]

    /// Joins the parts.
    package init(
        name: String = "warren",
        version: String,
        accelerators: [Accelerator],
        limits: ServiceLimits,
        capabilities: [String]
    ) {
        self.name = name
        self.version = version
        self.accelerators = accelerators
        self.limits = limits
        self.capabilities = capabilities
    }
}

/// What this host allows at most.
package struct ServiceLimits: Hashable, Sendable, Codable {
    /// How many VMs.
    package var maxVMs: Int
    /// How much memory for all VMs together.
    package var maxMemoryMiB: Int
    /// How much memory for one VM.
    package var maxMemoryMiBPerVM: Int
    /// How many virtual CPUs for one VM.
    package var maxCPUsPerVM: Int
    /// How long a request body.
    package var maxBodyBytes: Int

    /// Joins the parts.
    package init(maxVMs: Int, maxMemoryMiB: Int, maxMemoryMiBPerVM: Int, maxCPUsPerVM: Int, maxBodyBytes: Int) {
        self.maxVMs = maxVMs
        self.maxMemoryMiB = maxMemoryMiB
        self.maxMemoryMiBPerVM = maxMemoryMiBPerVM
        self.maxCPUsPerVM = maxCPUsPerVM
        self.maxBodyBytes = maxBodyBytes
    }
}

/// The answer of `GET /livez` and `GET /readyz`.
package struct HealthAnswer: Hashable, Sendable, Codable {
    /// One check by name.
    package struct Check: Hashable, Sendable, Codable {
        /// The name.
        package var name: String
        /// Whether it passed.
        package var ok: Bool
        /// What happened, for people.
        @NullEncoded package var detail: String?

        /// Joins the parts.
        package init(name: String, ok: Bool, detail: String? = nil) {
            self.name = name
            self.ok = ok
            self.detail = detail
        }
    }

    /// `ok` or `failing`.
    package var status: String
    /// The checks by name.
    package var checks: [Check]

    /// Sums up checks.
    package init(checks: [Check]) {
        status = checks.allSatisfy(\.ok) ? "ok" : "failing"
        self.checks = checks
    }
}
