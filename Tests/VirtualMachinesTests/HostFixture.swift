import Foundation
import Logging
import NIOCore
import NIOPosix
import NetTypes
import QEMU
import Store
import Synchronization
import Tailnet
import TestSupport
import VirtualMachines
import WarrenCrypto
import WarrenModel

/// A host of VMs in a folder of its own: real store, real QEMU, nodes that a test plays.
final class HostFixture: Sendable {
    let folder: String
    let nodes = FakeNodes()
    private let qemu: String

    init(qemu: String? = nil) throws {
        folder = try GuestPrerequisites.temporaryFolder()
        self.qemu = qemu ?? GuestPrerequisites.qemu ?? "qemu-system-x86_64"
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    /// A registry over the folder, as a daemon that starts has it.
    func makeHost(
        maxCount: Int = 5,
        maxMemoryMiB: Int = 1024,
        templates: TemplateLibrary? = nil
    ) throws -> VMHost {
        let group = MultiThreadedEventLoopGroup.singleton
        var logger = Logger(label: "warren.vm.tests")
        logger.logLevel = .error
        return VMHost(
            database: try WarrenDatabase(stateDirectory: folder, logger: logger),
            images: ImageLibrary(directories: [(try? GuestPrerequisites.images.get()) ?? "/nonexistent"]),
            vmsDirectory: folder + "/vms",
            limits: HostLimits(
                maxCount: maxCount,
                maxMemoryMiB: maxMemoryMiB,
                perVM: VMLimits(maxMemoryMiB: 512, maxCPUs: 2),
                defaults: VMDefaults(image: "micro", memoryMiB: 128, control: .embedded)
            ),
            hypervisor: Hypervisor(
                configuration: .init(
                    qemu: qemu,
                    shim: GuestPrerequisites.shim ?? "/nonexistent",
                    accelerator: .tcg,
                    consoleLogKiB: 64
                ),
                templates: templates,
                group: group,
                logger: logger
            ),
            nodes: nodes,
            rules: OutboundRules(
                policy: AnyTarget(),
                webhooksAllowHTTP: true,
                plainHTTPControl: .always,
                hasEmbeddedControl: true
            ),
            group: group,
            stopTimeout: .seconds(10),
            logger: logger
        )
    }

    /// The folder of saved guests.
    var templatesFolder: String { folder + "/templates" }

    private func makeTemplates() -> TemplateLibrary {
        var logger = Logger(label: "warren.template.tests")
        logger.logLevel = .error
        return TemplateLibrary(
            configuration: .init(
                directory: templatesFolder,
                shim: GuestPrerequisites.shim ?? "/nonexistent",
                maxSizeMiB: 1024,
                maxAge: .seconds(3600)
            ),
            group: MultiThreadedEventLoopGroup.singleton,
            logger: logger
        )
    }

    /// Runs `body` while a daemon's registry runs; the guests stay when it goes.
    func withRegistry(
        maxCount: Int = 5,
        maxMemoryMiB: Int = 1024,
        savesTemplates: Bool = false,
        _ body: (VMRegistry, VMHost) async throws -> Void
    ) async throws {
        let templates = savesTemplates ? makeTemplates() : nil
        let host = try makeHost(maxCount: maxCount, maxMemoryMiB: maxMemoryMiB, templates: templates)
        let registry = VMRegistry(host: host)
        let task = Task {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await registry.run() }
                if let templates { group.addTask { await templates.run() } }
                try await group.waitForAll()
            }
        }
        while !(await registry.isReady) { await Task.yield() }
        do {
            try await body(registry, host)
        } catch {
            task.cancel()
            _ = await task.result
            try? host.database.close()
            throw error
        }
        task.cancel()
        _ = await task.result
        try host.database.close()
    }

    /// Ends what a failed test left running.
    func endGuests() async {
        for name in (try? FileManager.default.contentsOfDirectory(atPath: folder + "/vms")) ?? [] {
            guard let directory = try? VMDirectory(path: "\(folder)/vms/\(name)"),
                let process = try? await QEMUProcess.attach(to: directory, group: MultiThreadedEventLoopGroup.singleton)
            else { continue }
            process.kill()
            _ = await process.exit()
        }
    }

    static func request(_ members: String = #""name": "one""#) throws -> CreateVMRequest {
        try CreateVMRequest(JSONTree(parsing: "{\(members)}"), limits: VMLimits(maxMemoryMiB: 512, maxCPUs: 2))
    }
}

private struct AnyTarget: DialPolicy {
    func permits(_ address: IPAddress, for purpose: DialPurpose) -> Bool { true }
}

/// Nodes whose state a test sets.
final class FakeNodes: VMNodeMaker {
    /// The nodes that were logged out, by their keys.
    let logouts = Mutex<[NodePublicKey]>([])
    /// How many of the next logouts fail.
    let failures = Mutex(0)
    private let made = Mutex<[VMID: FakeNode]>([:])

    func node(for request: VMNodeRequest) -> any VMNode {
        made.withLock { made in
            let node = made[request.id] ?? FakeNode()
            made[request.id] = node
            return node
        }
    }

    func logout(_ identity: NodeIdentityRecord) async throws {
        let fails = failures.withLock { left in
            defer { left = max(0, left - 1) }
            return left > 0
        }
        if fails { throw StateReason(code: "control-unreachable", message: "No answer.") }
        logouts.withLock { $0.append(identity.nodeKey.publicKey) }
    }

    /// The node of a VM, also before it was made.
    func node(of id: VMID) -> FakeNode {
        made.withLock { made in
            let node = made[id] ?? FakeNode()
            made[id] = node
            return node
        }
    }
}

/// A node that is what it is told.
actor FakeNode: VMNode {
    private var current = NodeReport(
        version: 1,
        status: NetworkStatus(state: .starting, since: Timestamp(millisecondsSinceEpoch: 0)),
        netmapVersion: 0,
        peers: []
    )
    private var waiting: [CheckedContinuation<Void, Never>] = []
    private(set) var runCount = 0

    func run() async {
        runCount += 1
        while !Task.isCancelled { try? await Task.sleep(for: .seconds(3600)) }
        wake()
    }

    func report(after version: Int64) async -> NodeReport {
        while current.version <= version, !Task.isCancelled {
            await withCheckedContinuation { waiting.append($0) }
        }
        return current
    }

    func detail() async -> NetworkDetail { NetworkDetail(status: current.status) }

    /// The preferences that it was told, newest last.
    private(set) var preferences: [NodePreferences] = []
    /// The logins that it was told to begin.
    private(set) var logins: [SecretText?] = []

    func update(preferences: NodePreferences) async { self.preferences.append(preferences) }

    func logIn(authKey: SecretText?) async { logins.append(authKey) }

    func logOut() async { enter(.needsLogin) }

    func ping(_ request: NetworkPingRequest) async throws(TailnetNode.PingRefusal) -> NetworkPingAnswer {
        guard current.status.state == .running else { throw .notRunning }
        let answer = NetworkPingAnswer(
            peer: "peer.example.net.",
            address: "100.64.0.9",
            kind: request.kind,
            replies: [NetworkPingReply(latencyMs: 1.5, region: "nyc")]
        )
        guard request.peer == "peer", let answer else { throw .noSuchPeer }
        return answer
    }

    /// Says that the key's end is near.
    func warn(_ warning: KeyWarning?, of expiry: Timestamp) {
        current.status.keyExpiry = expiry
        current.keyWarning = warning
        current.version += 1
        wake()
    }

    /// Sends the internet traffic through this node.
    func useExitNode(_ name: String?) {
        current.status.exitNode = name
        current.status.internet = name.map { .exitNode($0) } ?? .blocked
        current.version += 1
        wake()
    }

    /// Enters a state with these addresses.
    func enter(_ state: NetworkState, addresses: [String] = [], loginURL: String? = nil) {
        current.status.enter(state, now: Timestamp(millisecondsSinceEpoch: 0))
        current.status.addresses = addresses
        current.status.loginUrl = loginURL
        current.version += 1
        wake()
    }

    private func wake() {
        for continuation in waiting { continuation.resume() }
        waiting.removeAll()
    }
}
