/// What happens when a guest ends without having been asked to.
package struct RestartPolicy: Hashable, Sendable, Codable {
    /// When the VM is started again.
    package enum Kind: String, Hashable, Sendable, Codable, CaseIterable {
        /// Never.
        case never
        /// After a panic or the death of QEMU.
        case onFailure = "on-failure"
        /// Also after the guest powered itself off.
        case always
    }

    /// When the VM is started again.
    package let policy: Kind
    /// How many failures in a row are tolerated.
    package let maxRetries: Int

    /// Joins the two.
    package init(policy: Kind, maxRetries: Int) {
        self.policy = policy
        self.maxRetries = maxRetries
    }

    /// What a VM gets that does not say: five tries after failures.
    package static let standard = RestartPolicy(policy: .onFailure, maxRetries: 5)

    static func read(_ reader: inout ObjectReader) -> RestartPolicy? {
        let policy = reader.choice("policy", of: Kind.self)
        let maxRetries = reader.integer("maxRetries", in: 0...1000)
        return RestartPolicy(
            policy: policy ?? standard.policy,
            maxRetries: maxRetries ?? standard.maxRetries
        )
    }
}
