import FoundationEssentials
package import Logging
package import NIOCore
package import NetTypes
package import Store
package import WarrenModel

/// What every VM of this host shares: made once by the daemon, passed down.
package struct VMHost: Sendable {
    /// Where VMs, events and deliveries are kept.
    package let database: WarrenDatabase
    /// The guest images.
    package let images: ImageLibrary
    /// Where the VMs' directories are.
    package let vmsDirectory: String
    /// What VMs may be.
    package let limits: HostLimits
    /// How QEMU is found and started.
    package let hypervisor: Hypervisor
    /// Makes the tailnet side of a VM.
    package let nodes: any VMNodeMaker
    /// Which outbound addresses a spec may name.
    package let rules: OutboundRules
    /// The loops that VMs are spread over.
    package let group: any EventLoopGroup
    /// How long a guest may take to stop when nobody says.
    package let stopTimeout: Duration
    /// Where what happens to VMs is logged.
    package let logger: Logger

    /// Joins the parts.
    package init(
        database: WarrenDatabase,
        images: ImageLibrary,
        vmsDirectory: String,
        limits: HostLimits,
        hypervisor: Hypervisor,
        nodes: any VMNodeMaker,
        rules: OutboundRules,
        group: any EventLoopGroup,
        stopTimeout: Duration,
        logger: Logger
    ) {
        self.database = database
        self.images = images
        self.vmsDirectory = vmsDirectory
        self.limits = limits
        self.hypervisor = hypervisor
        self.nodes = nodes
        self.rules = rules
        self.group = group
        self.stopTimeout = stopTimeout
        self.logger = logger
    }

    /// The time now, as records carry it.
    package var now: Timestamp {
        Timestamp(millisecondsSinceEpoch: Int64(Date().timeIntervalSince1970 * 1000))
    }
}

/// How much this host gives, and what a request that leaves members out gets.
package struct HostLimits: Hashable, Sendable {
    /// How many VMs that are not deleted.
    package var maxCount: Int
    /// The memory of all VMs that run or start.
    package var maxMemoryMiB: Int
    /// What one VM may ask for.
    package var perVM: VMLimits
    /// What a request that leaves members out gets.
    package var defaults: VMDefaults

    /// Joins the parts.
    package init(maxCount: Int, maxMemoryMiB: Int, perVM: VMLimits, defaults: VMDefaults) {
        self.maxCount = maxCount
        self.maxMemoryMiB = maxMemoryMiB
        self.perVM = perVM
        self.defaults = defaults
    }
}

/// Which targets a spec may name; names are resolved, and judged again, when they are dialled.
package struct OutboundRules: Sendable {
    /// When `http:` control servers are allowed.
    package enum PlainHTTP: String, Hashable, Sendable, CaseIterable { case never, loopback, always }

    /// Which addresses are allowed for what.
    package var policy: any DialPolicy
    /// Whether webhooks may go to `http:` endpoints.
    package var webhooksAllowHTTP: Bool
    /// When `http:` control servers are allowed.
    package var plainHTTPControl: PlainHTTP
    /// Whether this daemon has a coordination server inside.
    package var hasEmbeddedControl: Bool

    /// Joins the parts.
    package init(
        policy: any DialPolicy,
        webhooksAllowHTTP: Bool,
        plainHTTPControl: PlainHTTP,
        hasEmbeddedControl: Bool
    ) {
        self.policy = policy
        self.webhooksAllowHTTP = webhooksAllowHTTP
        self.plainHTTPControl = plainHTTPControl
        self.hasEmbeddedControl = hasEmbeddedControl
    }

    /// The faults of a spec's targets.
    func faults(of spec: VMSpec) -> [FieldError] {
        guard let interface = spec.networkInterface else { return [] }
        var faults: [FieldError] = []
        switch interface.control {
        case .embedded where !hasEmbeddedControl:
            faults.append(
                refused("controlUrl", "There is no embedded coordination server: control.embedded.enabled is off.")
            )
        case .embedded: break
        case .url(let url):
            let isPlainAllowed = plainHTTPControl == .always || (plainHTTPControl == .loopback && url.isLoopback)
            if url.scheme == .http, !isPlainAllowed {
                faults.append(
                    refused(
                        "controlUrl",
                        "http is refused here by control.allowPlainHTTP: \(plainHTTPControl.rawValue)."
                    )
                )
            } else if let address = url.address, !policy.permits(address, for: .control) {
                faults.append(refused("controlUrl", "The address \(address) is refused by this host's policy."))
            }
        }
        for (kind, callback) in interface.callbacks.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
            if callback.url.scheme == .http, !webhooksAllowHTTP {
                faults.append(refused(kind.rawValue, "http is refused here; set webhooks.allowHTTP, or use https."))
            } else if let address = callback.url.address, !policy.permits(address, for: .webhook) {
                faults.append(
                    refused(kind.rawValue, "The address \(address) is refused; webhooks.allowNetworks may list it.")
                )
            }
        }
        return faults
    }

    private func refused(_ member: String, _ detail: String) -> FieldError {
        FieldError(pointer: "/networkInterface/\(member)", code: .refused, detail: detail)
    }
}
