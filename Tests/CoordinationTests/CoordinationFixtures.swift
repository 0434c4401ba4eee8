import Coordination
import Logging
import NetTypes
import Synchronization
import Tailcfg
import WarrenCrypto
import WarrenModel

/// State kept in memory, which a "restart" hands to the next server.
actor MemoryPersistence: CoordinationPersistence {
    private var nodes: [NodeID: NodeRecord] = [:]
    private var authKeys: [String: AuthKeyRecord] = [:]
    private var counters: [String: Int64] = [:]
    private var documents: [String: String] = [:]
    private var secrets: [String: [UInt8]] = [:]
    /// How many of the next commits fail.
    private var failures = 0

    struct Failure: Error {}

    func failNext(_ count: Int) { failures = count }

    func loadSnapshot() -> CoordinationSnapshot {
        var snapshot = CoordinationSnapshot()
        snapshot.nodes = Array(nodes.values)
        snapshot.authKeys = Array(authKeys.values)
        snapshot.counters = counters
        snapshot.documents = documents
        return snapshot
    }

    func commit(_ changes: CoordinationChanges) throws {
        if failures > 0 {
            failures -= 1
            throw Failure()
        }
        nodes.merge(changes.nodes) { $1 }
        for id in changes.removedNodes { nodes[id] = nil }
        authKeys.merge(changes.authKeys) { $1 }
        for id in changes.removedAuthKeys { authKeys[id] = nil }
        counters.merge(changes.counters) { $1 }
        for (name, document) in changes.documents { documents[name] = document }
    }

    func secret(named name: String, orMake make: @Sendable () -> [UInt8]) -> [UInt8] {
        let secret = secrets[name] ?? make()
        secrets[name] = secret
        return secret
    }
}

/// A clock that stands until it is moved.
final class ManualTime: Sendable {
    static let start = ControlTime(seconds: 1_790_000_000)

    private let time = Mutex(ManualTime.start)

    var now: ControlTime { time.withLock { $0 } }

    func advance(seconds: Int64) { time.withLock { $0 = $0.adding(seconds: seconds) } }
}

/// A client's keys and what it says, without any connection.
struct TestMachine {
    let machineKey: MachinePublicKey
    /// The private half of the first node key.
    let nodePrivateKey = NodePrivateKey()
    var nodeKey: NodePublicKey
    var discoKey: DiscoPublicKey
    var hostname: String
    /// Routes it offers.
    var routes: [String] = []
    /// Tags it asks for.
    var tags: [String] = []

    init(_ hostname: String) {
        machineKey = MachinePrivateKey().publicKey
        nodeKey = nodePrivateKey.publicKey
        discoKey = DiscoPrivateKey().publicKey
        self.hostname = hostname
    }

    var hostinfo: Hostinfo {
        var hostinfo = Hostinfo()
        hostinfo.os = "linux"
        hostinfo.hostname = hostname
        hostinfo.backendLogID = String(repeating: "ab", count: 32)
        hostinfo.routableIPs = routes.compactMap { IPPrefix($0) }
        hostinfo.requestTags = tags
        return hostinfo
    }

    func registration(authKey: String? = nil, followup: String = "") -> RegisterRequest {
        var request = RegisterRequest(version: .current, nodeKey: nodeKey, hostinfo: hostinfo)
        request.authKey = authKey
        request.followup = followup
        return request
    }

    func poll() -> MapRequest {
        var request = MapRequest(version: .current, nodeKey: nodeKey, discoKey: discoKey, hostinfo: hostinfo)
        request.stream = true
        return request
    }

    func update(endpoints: [AddressPort]? = nil, homeDERP: DERPRegionID? = nil) -> MapRequest {
        var request = MapRequest(version: .current, nodeKey: nodeKey, discoKey: discoKey, hostinfo: hostinfo)
        request.omitPeers = true
        request.endpoints = endpoints
        if let homeDERP {
            var netInfo = NetInfo()
            netInfo.preferredDERP = homeDERP
            request.hostinfo?.netInfo = netInfo
        }
        return request
    }
}

/// A registry with a manual clock and state in memory.
struct TestTailnet {
    let time = ManualTime()
    let persistence: MemoryPersistence
    let registry: NodeRegistry

    init(persistence: MemoryPersistence = MemoryPersistence(), rules: TailnetRules = TailnetRules()) async throws {
        self.persistence = persistence
        let time = time
        registry = try await NodeRegistry(
            rules: rules,
            persistence: persistence,
            derpMap: DERPMap(omitDefaultRegions: true),
            publicURL: { "http://control.test" },
            now: { time.now },
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        )
    }

    /// Makes an auth key.
    func authKey(
        reusable: Bool = false,
        ephemeral: Bool = false,
        tags: [String] = [],
        preapproved: Bool = false
    ) async throws -> String {
        try await registry.createAuthKey(
            isReusable: reusable,
            isEphemeral: ephemeral,
            tags: tags,
            isPreapproved: preapproved,
            lifetimeSeconds: 3600
        ).text
    }

    /// Registers and expects an answer at once.
    func register(_ request: RegisterRequest, as machine: TestMachine) async throws -> RegisterResponse {
        switch try await registry.register(request, from: machine.machineKey, remoteAddress: "127.0.0.1") {
        case .respond(let response): return response
        case .wait, .tooMany: throw UnexpectedAnswer()
        }
    }

    /// Joins with a fresh key, says where it is, and opens a stream.
    func join(
        _ machine: TestMachine,
        ephemeral: Bool = false,
        tags: [String] = []
    ) async throws -> MapSubscription {
        let key = try await authKey(ephemeral: ephemeral, tags: tags)
        let response = try await register(machine.registration(authKey: key), as: machine)
        guard response.machineAuthorized, response.error.isEmpty else { throw UnexpectedAnswer() }
        try await registry.update(machine.update(), from: machine.machineKey)
        return try await registry.openStream(machine.poll(), from: machine.machineKey) {}
    }

    /// Joins, and takes the first message.
    func settle(_ machine: TestMachine, tags: [String] = []) async throws -> (MapSubscription, MapResponse) {
        let stream = try await join(machine, tags: tags)
        guard let first = try await messages(stream).first else { throw UnexpectedAnswer() }
        return (stream, first)
    }

    /// What a stream has to say now, when that is one message.
    func message(_ stream: MapSubscription) async throws -> MapResponse {
        let messages = try await messages(stream)
        guard messages.count == 1, let message = messages.first else { throw UnexpectedAnswer() }
        return message
    }

    /// Puts a policy in force.
    func setPolicy(_ text: String) async throws {
        _ = try await registry.setPolicy(try JSONTree(parsing: Array(text.utf8)), replacing: nil)
    }

    /// What a stream has to say now.
    func messages(_ stream: MapSubscription) async throws -> [MapResponse] {
        switch await registry.work(for: stream.id) {
        case .write(let messages), .end(let messages): messages
        case .keepAlive, .wait: []
        }
    }
}

/// An answer of another kind than the test is about.
struct UnexpectedAnswer: Error {}
