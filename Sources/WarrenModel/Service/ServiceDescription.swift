/// The answer of `GET /v1`.
package struct ServiceDescription: Hashable, Sendable, Codable {
    package var name: String
    package var version: String
    package var accelerators: [Accelerator]
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
    package var maxVMs: Int
    package var maxMemoryMiB: Int
    package var maxMemoryMiBPerVM: Int
    package var maxCPUsPerVM: Int
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
        package var name: String
        package var ok: Bool
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
    package var checks: [Check]

    /// Sums up checks.
    package init(checks: [Check]) {
        status = checks.allSatisfy(\.ok) ? "ok" : "failing"
        self.checks = checks
    }
}
