import ControlPlane
package import Logging
package import NIOPosix
import NetTypes
import ServiceLifecycle
package import Tailcfg
package import WarrenCrypto

/// The embedded coordination server: stock Tailscale clients and Warren's own nodes join the tailnet here.
///
/// `bind` takes the ports, so that URL and addresses are known before `run` serves.
package final class CoordinationServer: Service {
    /// What clients use as login server, without trailing slash.
    package let serverURL: String
    /// What nodes of this host use: plain HTTP without a detour, whatever certificate or proxy the others see.
    package let localURL: String
    /// Where ts2021 and the login pages are bound.
    package let address: BoundAddress
    /// The tailnet.
    package let registry: NodeRegistry
    /// The fingerprint that people compare: the server's Noise key.
    package let serverKey: MachinePublicKey
    /// The fingerprint of a certificate that the server made for itself, as `sha256-raw:<hex>`; nil without one.
    package let certificateName: String?
    /// Where DERP is bound; nil without a relay.
    package var derpAddress: BoundAddress? { relay.derpAddress }
    /// Where STUN is bound; nil without a server.
    package var stunAddress: BoundAddress? { relay.stunAddress }
    private let ports: Ports
    private let relay: RelayService
    private let tls: CoordinationTLS?
    let routes: NoiseRoutes
    let outer: OuterRoutes
    let trust: ProxyTrust
    let limiter = ConnectionLimiter()
    let logger: Logger

    private static let keyName = "noise"

    private init(
        _ configuration: CoordinationConfiguration,
        ports: Ports,
        relay: RelayService,
        serverURL: String,
        serverKey: MachinePublicKey,
        registry: NodeRegistry,
        probes: HostProbes,
        check: (@Sendable (String) async -> Bool)?,
        logger: Logger
    ) throws {
        self.ports = ports
        self.relay = relay
        self.serverURL = serverURL
        self.serverKey = serverKey
        self.registry = registry
        self.logger = logger
        address = ports.address
        localURL = ports.localURL
        certificateName = ports.ownCertificate?.certName
        tls = configuration.tls
        trust = configuration.trustedProxies
        routes = NoiseRoutes(registry: registry, packer: try MapPacker(), logger: logger)
        outer = OuterRoutes(
            serverKey: serverKey,
            page: LoginPage(registry: registry, check: check, domain: configuration.rules.domain),
            devices: DevicePage(registry: registry, check: check),
            probes: probes
        )
    }

    /// Loads the tailnet, makes the server's key on the first start, and binds.
    ///
    /// - Parameters:
    ///   - configuration: Where to listen, and the rules.
    ///   - persistence: Where state is kept.
    ///   - approvalCheck: Tells whether a text is an administrator's token; asked by the login page unless the server
    ///     listens on loopback alone.
    ///   - now: The clock.
    ///   - group: The event loops.
    ///   - logger: Gets what happens.
    /// - Returns: A server that is bound and not yet serving.
    /// - Throws: `CoordinationError`, what the store reports, or an `IOError` when a port is taken.
    package static func bind(
        _ configuration: CoordinationConfiguration,
        persistence: any CoordinationPersistence,
        approvalCheck: @escaping @Sendable (String) async -> Bool,
        now: @escaping @Sendable () -> ControlTime,
        group: MultiThreadedEventLoopGroup,
        logger: Logger
    ) async throws -> CoordinationServer {
        let serverKey = try await serverKey(persistence)
        let ports = try await Ports.bind(configuration, persistence: persistence, serverKey: serverKey, group: group)
        let scheme = configuration.tls == nil ? "http" : "https"
        let serverURL = configuration.publicURL ?? "\(scheme)://\(ports.address.authority)"
        let publicHost = host(of: serverURL) ?? ports.address.host
        let probes = HostProbes(names: names(of: publicHost, ports.address, configuration.regions))
        do {
            var rules = configuration.rules
            rules.reservedLabels.formUnion(reservedLabels([serverURL], under: rules.domain))
            let registry = try await NodeRegistry(
                rules: rules,
                persistence: persistence,
                derpMap: DERPMap(omitDefaultRegions: true),
                publicURL: { serverURL },
                now: now,
                logger: logger
            )
            let relay = try await RelayService.start(
                configuration,
                publicHost: publicHost,
                names: probes.names,
                persistence: persistence,
                admittedKeys: registry.admittedKeys,
                group: group,
                logger: logger
            )
            await registry.setDERPMap(relay.map)
            return try CoordinationServer(
                configuration,
                ports: ports,
                relay: relay,
                serverURL: serverURL,
                serverKey: serverKey.publicKey,
                registry: registry,
                probes: probes,
                check: isReachedFromHereAlone(ports.address, configuration.publicURL) ? nil : approvalCheck,
                logger: logger
            )
        } catch {
            await ports.close()
            throw error
        }
    }

    /// Whether only this host can open the login page; a public name on a loopback listener means a proxy in front.
    private static func isReachedFromHereAlone(_ address: BoundAddress, _ publicURL: String?) -> Bool {
        guard address.isLoopback, let publicURL else { return address.isLoopback }
        guard let host = host(of: publicURL) else { return false }
        return host == "localhost" || IPAddress(host)?.isLoopback == true
    }

    /// Labels under the domain that are hosts of ours: a node of that name would capture them.
    private static func reservedLabels(_ urls: [String], under domain: String) -> [String] {
        urls.compactMap { host(of: $0)?.lowercased() }.filter { $0.hasSuffix(".\(domain)") }
            .map { String($0.dropLast(domain.utf8.count + 1)) }
    }

    /// The host in a URL of ours.
    static func host(of url: String) -> String? { (try? ControlURL(url))?.host }

    /// What we know of the addresses behind our own names.
    private static func names(
        of publicHost: String,
        _ address: BoundAddress,
        _ regions: [DERPRegion]
    ) -> [String: [String]] {
        var names: [String: [String]] = [:]
        for node in regions.flatMap(\.nodes) {
            let addresses = [node.ipv4, node.ipv6].filter { IPAddress($0) != nil }
            if !addresses.isEmpty { names[node.hostName.lowercased()] = addresses }
        }
        if IPAddress(publicHost) == nil, IPAddress(address.host)?.isUnspecified == false {
            names[publicHost.lowercased()] = [address.host]
        }
        return names
    }

    /// The Noise key; without it every client would have to be logged in anew by hand, so it is kept for ever.
    private static func serverKey(_ persistence: any CoordinationPersistence) async throws -> MachinePrivateKey {
        let bytes = try await persistence.secret(named: keyName) { MachinePrivateKey().withBytes { $0.array } }
        guard let key = MachinePrivateKey(bytes: bytes) else { throw CoordinationError.damagedRecord(keyName) }
        return key
    }

    /// Serves until the task is cancelled or the service group shuts down; then streams end cleanly.
    package func run() async throws {
        var facts: Logger.Metadata = ["url": "\(serverURL)", "key": "\(serverKey.short)"]
        if let certificateName { facts["certificate"] = "\(certificateName)" }
        logger.notice("coordination server runs", metadata: facts)
        do {
            try await withThrowingDiscardingTaskGroup { group in
                for listener in ports.listeners { group.addTask { try await self.accept(from: listener) } }
                group.addTask { try await self.keepTime() }
                group.addTask { try await self.wakeStreams() }
                group.addTask { try await self.renewCertificate() }
                group.addTask { try await self.awaitShutdown() }
            }
        } catch is CancellationError {
            // Either way of being told to stop.
        }
        await relay.shutdown()
        // Our own task is cancelled by now, which the database would take for a wish to stop.
        try await Task { [registry] in try await registry.commit() }.value
        logger.notice("coordination server stopped")
    }

    private func keepTime() async throws {
        while true {
            try await Task.sleep(for: .seconds(1))
            relay.disconnect(await registry.tick())
        }
    }

    private func wakeStreams() async throws {
        for await _ in registry.pulses {
            await registry.wakeStreams()
            try await Task.sleep(for: CoordinationDefaults.beat)
        }
    }

    /// Takes up a certificate that was renewed on disk.
    private func renewCertificate() async throws {
        guard case .given(_, let renewed) = tls, let certificate = ports.certificate else { return }
        while true {
            try await Task.sleep(for: CoordinationDefaults.certificateCheckInterval)
            guard let configuration = renewed() else { continue }
            do {
                try certificate.replace(configuration)
                logger.notice("certificate renewed")
            } catch {
                logger.warning("renewed certificate not usable", metadata: ["error": "\(error)"])
            }
        }
    }

    private func awaitShutdown() async throws {
        try await gracefulShutdown()
        await registry.endAllStreams()
        // Writers need a moment to finish their responses; whoever is slower is cut off.
        for _ in 0..<50 where await registry.streamCount > 0 { try await Task.sleep(for: .milliseconds(20)) }
        throw CancellationError()
    }
}
