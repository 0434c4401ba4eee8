import Coordination
import Logging
import NIOCore
import NIOPosix
import NetTypes
import QEMU
import ServiceLifecycle
import Store
import Tailcfg
import VirtualMachines
import WarrenAPI
import WarrenModel
import Webhooks

/// Everything the daemon runs, built once and wired from the ground up.
struct DaemonParts {
    /// In the order of their start; they end in the opposite one, so that requests end before what serves them.
    let services: [any Service]

    /// Builds everything; nothing runs before the service group does, but ports are bound.
    init(
        settings: DaemonSettings,
        state: StateDirectory,
        database: WarrenDatabase,
        notifier: ServiceNotifier,
        logger: Logger
    ) async throws {
        let configuration = settings.configuration
        let group = MultiThreadedEventLoopGroup.singleton
        let policy = TargetPolicy(configuration)
        let coordination = try await CoordinationServer.start(configuration.control, database: database, group: group)
        let templates = TemplateLibrary.make(configuration, state, group: group)
        let host = Self.host(
            settings,
            state,
            database,
            policy,
            group,
            templates: templates,
            coordination: coordination
        )
        let registry = VMRegistry(host: host)
        let dispatcher = WebhookDispatcher(
            store: database,
            policy: policy,
            configuration: .init(
                timeout: configuration.webhooks.timeout,
                userAgent: "warren/\(DaemonVersion.text)"
            ),
            group: group,
            logger: Logger(label: "warren.webhooks")
        )
        let readiness = ReadinessChecks(
            database: database,
            registry: registry,
            host: host,
            defaultImage: configuration.vms.defaultImage
        )
        let limits = ServiceLimits(configuration.vms)
        let router = APIRouter(
            services: APIServices(
                database: database,
                vms: registry,
                tailnet: coordination,
                limits: limits,
                stopTimeout: configuration.vms.stopTimeout,
                description: { await readiness.description(limits) },
                checks: { await readiness.checks() }
            )
        )
        let listeners = try Self.listeners(
            settings,
            state,
            router,
            database,
            group,
            StartGate.serving(notifier, logger)
        )
        services =
            [EventTrimming(database: database, logger: logger), dispatcher] + [coordination].compactMap { $0 }
            + [NodeCleanup(host: host)] + [templates].compactMap { $0 } + [registry] + listeners
    }

    private static func host(
        _ settings: DaemonSettings,
        _ state: StateDirectory,
        _ database: WarrenDatabase,
        _ policy: TargetPolicy,
        _ group: MultiThreadedEventLoopGroup,
        templates: TemplateLibrary?,
        coordination: CoordinationServer?
    ) -> VMHost {
        let installed = InstalledFiles()
        let configuration = settings.configuration
        let vms = configuration.vms
        let logger = Logger(label: "warren.virtual-machines")
        return VMHost(
            database: database,
            images: ImageLibrary(directories: installed.imageDirectories(state: state)),
            vmsDirectory: state.vms,
            limits: HostLimits(configuration),
            hypervisor: Hypervisor(
                configuration: .init(
                    qemu: vms.qemu,
                    shim: installed.shim,
                    accelerator: .init(vms.accelerator),
                    consoleLogKiB: vms.consoleLogKiB
                ),
                templates: templates,
                group: group,
                logger: Logger(label: "warren.qemu")
            ),
            nodes: TailnetNodes(
                coordination: coordination,
                plainHTTP: configuration.control.allowPlainHTTP,
                tailnet: configuration.tailnet,
                proxies: settings.proxies,
                policy: policy,
                group: group,
                logger: Logger(label: "warren.tailnet")
            ),
            rules: OutboundRules(
                policy: policy,
                webhooksAllowHTTP: configuration.webhooks.allowHTTP,
                plainHTTPControl: .init(configuration.control.allowPlainHTTP),
                hasEmbeddedControl: configuration.control.embedded.enabled
            ),
            group: group,
            stopTimeout: vms.stopTimeout,
            logger: logger
        )
    }

    /// The listeners of the API; when all of them listen, the daemon serves.
    private static func listeners(
        _ settings: DaemonSettings,
        _ state: StateDirectory,
        _ router: APIRouter,
        _ database: WarrenDatabase,
        _ group: MultiThreadedEventLoopGroup,
        _ makeGate: (Int) -> StartGate
    ) throws -> [any Service] {
        let listen = settings.configuration.listen
        let file = HTTPAddressFile(path: state.httpAddress)
        file.remove()
        var addresses: [APIServer.Address] = []
        if case .address(let address) = listen.http {
            addresses.append(.tcp(address, try ServerCertificate.load(listen.tls)))
        }
        if let path = settings.unixSocket {
            let folder = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? ""
            if !folder.isEmpty { try StateDirectory.makeDirectory(folder, mode: 0o755) }
            addresses.append(.unixSocket(path))
        }
        let gate = makeGate(addresses.count)
        let logger = Logger(label: "warren.api")
        return addresses.map { address in
            APIServer(router: router, address: address, database: database, group: group, logger: logger) { address in
                do {
                    if let address { try file.write(address) }
                    gate.passed()
                } catch {
                    logger.error("address not written", metadata: ["error": "\(error)"])
                }
            }
        }
    }
}

extension StartGate {
    /// Tells everybody that the daemon serves once its listeners are open.
    fileprivate static func serving(_ notifier: ServiceNotifier, _ logger: Logger) -> (Int) -> StartGate {
        { count in
            StartGate(count: count) {
                notifier.ready()
                logger.notice("daemon serves")
            }
        }
    }
}
