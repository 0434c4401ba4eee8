import Coordination
import Logging
import NIOCore
import NIOPosix
import NetTypes
import QEMU
import Store
import Tailcfg
import VirtualMachines
import WarrenAPI
import WarrenModel
import Webhooks

// What each module is told; none of them sees the whole file.

extension TargetPolicy {
    /// The policy of all outbound dials.
    init(_ configuration: DaemonConfiguration) {
        let isOnLoopback =
            switch configuration.control.defaultURL {
            case .embedded:
                configuration.control.embedded.publicURL?.isLoopback
                    ?? configuration.control.embedded.listen.address.isLoopback
            case .url(let url): url.isLoopback
            }
        let plain: TargetPolicy.PlainHTTPRule =
            switch configuration.control.allowPlainHTTP {
            case .never: .never
            case .loopback: .loopback
            case .always: .always
            }
        self.init(
            allowedNetworks: configuration.webhooks.allowNetworks,
            allowsHTTP: configuration.webhooks.allowHTTP,
            plainControl: plain,
            controlIsOnLoopback: isOnLoopback
        )
    }
}

extension HostLimits {
    /// How much this host gives.
    init(_ configuration: DaemonConfiguration) {
        let vms = configuration.vms
        self.init(
            maxCount: vms.maxCount,
            maxMemoryMiB: vms.maxMemoryMiB,
            perVM: VMLimits(maxMemoryMiB: vms.maxMemoryMiBPerVM, maxCPUs: vms.maxCPUsPerVM),
            defaults: VMDefaults(
                image: vms.defaultImage,
                memoryMiB: vms.defaultMemoryMiB,
                control: configuration.control.defaultURL
            )
        )
    }
}

extension TemplateLibrary {
    /// The saved guests of this host; nil when the configuration wants none.
    static func make(
        _ configuration: DaemonConfiguration,
        _ state: StateDirectory,
        group: any EventLoopGroup
    ) -> TemplateLibrary? {
        let section = configuration.templates
        guard section.enabled else { return nil }
        return TemplateLibrary(
            configuration: .init(
                directory: state.templates,
                shim: InstalledFiles().shim,
                maxSizeMiB: section.maxSizeMiB,
                maxAge: section.maxAge
            ),
            group: group,
            logger: Logger(label: "warren.templates")
        )
    }
}

extension ServiceLimits {
    /// The limits as the API shows them.
    init(_ vms: VMsSection) {
        self.init(
            maxVMs: vms.maxCount,
            maxMemoryMiB: vms.maxMemoryMiB,
            maxMemoryMiBPerVM: vms.maxMemoryMiBPerVM,
            maxCPUsPerVM: vms.maxCPUsPerVM,
            maxBodyBytes: APILimits.bodyByteCount
        )
    }
}

extension AcceleratorProbe.Setting {
    /// The setting of the configuration.
    init(_ choice: AcceleratorChoice) {
        self =
            switch choice {
            case .auto: .auto
            case .tcg: .tcg
            case .kvm: .kvm
            }
    }
}

extension OutboundRules.PlainHTTP {
    /// The rule of the configuration.
    init(_ choice: PlainHTTPControl) {
        self =
            switch choice {
            case .never: .never
            case .loopback: .loopback
            case .always: .always
            }
    }
}

extension CoordinationServer {
    /// Binds the embedded server by the configuration; nil when it is off.
    static func start(
        _ control: ControlSection,
        database: WarrenDatabase,
        group: MultiThreadedEventLoopGroup
    ) async throws -> CoordinationServer? {
        let embedded = control.embedded
        guard embedded.enabled else { return nil }
        var configuration = CoordinationConfiguration(
            listen: .init(embedded.listen),
            publicURL: embedded.publicURL.map { $0.text.hasSuffix("/") ? String($0.text.dropLast()) : $0.text },
            derp: embedded.derp.address.map { .init($0) },
            stun: embedded.stun.address.map { .init($0) },
            rules: TailnetRules(embedded)
        )
        configuration.tls = try embedded.servedTLS()
        configuration.trustedProxies = ProxyTrust(prefixes: embedded.trustedProxies)
        configuration.regions = embedded.derpRegions.map(DERPRegion.init)
        do {
            return try await bind(configuration, database: database, group: group)
        } catch let error as IOError {
            throw DaemonError.cannotListen(
                address: "\(embedded.listen), \(embedded.derp.configurationText) or "
                    + "\(embedded.stun.configurationText) (control.embedded)",
                reason: SystemError.text(error.errnoCode)
            )
        } catch CoordinationError.invalidAddressRange(let range) {
            let problem = ConfigurationProblem(
                path: "control.embedded",
                line: nil,
                message: "\(range) is no part of the ranges that tailnets use"
            )
            throw DaemonError.configuration(ConfigurationError(file: nil, problems: [problem]))
        }
    }

    private static func bind(
        _ configuration: CoordinationConfiguration,
        database: WarrenDatabase,
        group: MultiThreadedEventLoopGroup
    ) async throws -> CoordinationServer {
        try await bind(
            configuration,
            persistence: StorePersistence(database),
            approvalCheck: { text in
                // A database that does not answer knows no token.
                let record = try? await database.token(matching: text, now: .now)
                return record?.scopes.contains(.admin) == true
            },
            now: { ControlTime(.now) },
            group: group,
            logger: Logger(label: "warren.coordination")
        )
    }
}

extension EmbeddedSection {
    /// The certificate to serve with; nil for plain HTTP.
    fileprivate func servedTLS() throws -> CoordinationTLS? {
        if tls.certificate == TLSSection.automatic { return .own }
        guard let configuration = try ServerCertificate.load(tls) else { return nil }
        let certificate = RenewableCertificate(tls)
        return .given(configuration, renewed: { certificate.renewed() })
    }
}

extension DERPRegion {
    /// The region of one relay.
    fileprivate init(_ relay: RelayRegion) {
        let id = DERPRegionID(rawValue: Int64(relay.id))
        var node = DERPNode(name: "\(relay.id)a", regionID: id, hostName: relay.host)
        node.derpPort = relay.port
        node.stunPort = relay.stunPort ?? -1
        node.certName = relay.certName
        node.ipv4 = relay.ipv4?.description ?? ""
        node.ipv6 = relay.ipv6?.description ?? ""
        self.init(regionID: id, regionCode: relay.code, regionName: relay.name, nodes: [node])
    }
}

extension CoordinationConfiguration.Listener {
    fileprivate init(_ address: AddressPort) {
        self.init(host: "\(address.address)", port: Int(address.port))
    }
}

extension ControlTime {
    fileprivate init(_ timestamp: Timestamp) {
        let milliseconds = timestamp.millisecondsSinceEpoch
        self.init(seconds: milliseconds / 1000, nanoseconds: Int32(milliseconds % 1000) * 1_000_000)
    }
}

extension TailnetRules {
    /// The rules that the configuration gives the embedded tailnet.
    fileprivate init(_ embedded: EmbeddedSection) {
        self.init(domain: embedded.domain, ipv4Range: embedded.ipv4Prefix, ipv6Range: embedded.ipv6Prefix)
        if case .limited(let lifetime) = embedded.nodeKeyExpiry { nodeKeyLifetimeSeconds = lifetime.components.seconds }
        if let name = embedded.tailnetName { displayedTailnet = name }
        displayName = embedded.userName
        ephemeralInactivitySeconds = max(1, embedded.ephemeralTimeout.components.seconds)
        approvesDevices = embedded.deviceApproval
        dns = embedded.dns.settings
    }
}
