import Coordination
import Foundation
import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import NIOPosix
import Store
import Synchronization
import Tailcfg
import VirtualMachines
import WarrenAPI
import WarrenModel

/// The whole API over a real database and, where a test needs it, a real coordination server; VMs are kept in memory.
struct APIHarness: Sendable {
    let database: WarrenDatabase
    let vms: MemoryVMs
    let adminToken: String
    let router: APIRouter
    let coordination: CoordinationServer?
    private let tcp: APIFront
    private let unixSocket: APIFront

    /// Runs a test with an API of its own.
    static func with<Result>(
        isReady: Bool = true,
        hasTailnet: Bool = false,
        _ body: (APIHarness) async throws -> Result
    ) async throws -> Result {
        let directory = FileManager.default.temporaryDirectory.appending(path: "warren-api-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(
            atPath: directory,
            withIntermediateDirectories: true,
            attributes: [.posixPermissions: 0o700]
        )
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let harness = try await APIHarness(directory: directory, isReady: isReady, hasTailnet: hasTailnet)
        let serving = Task { try await harness.coordination?.run() }
        let outcome: Swift.Result<Result, any Error>
        do { outcome = .success(try await body(harness)) } catch { outcome = .failure(error) }
        serving.cancel()
        try await serving.value
        try harness.database.close()
        return try outcome.get()
    }

    private init(directory: String, isReady: Bool, hasTailnet: Bool) async throws {
        let database = try WarrenDatabase(stateDirectory: directory, logger: Self.silent)
        let vms = MemoryVMs(database: database)
        coordination =
            hasTailnet
            ? try await CoordinationServer.bind(
                CoordinationConfiguration(derp: nil, stun: nil),
                persistence: StorePersistence(database),
                approvalCheck: { _ in false },
                now: { ControlTime(Date()) },
                group: .singleton,
                logger: Self.silent
            ) : nil
        let limits = ServiceLimits(
            maxVMs: 10,
            maxMemoryMiB: 4096,
            maxMemoryMiBPerVM: 1024,
            maxCPUsPerVM: 4,
            maxBodyBytes: APILimits.bodyByteCount
        )
        let services = APIServices(
            database: database,
            vms: vms,
            tailnet: coordination,
            limits: limits,
            stopTimeout: .seconds(10),
            description: {
                ServiceDescription(version: "1.2.3", accelerators: [.tcg], limits: limits, capabilities: [])
            },
            checks: { [HealthAnswer.Check(name: "qemu", ok: isReady, detail: isReady ? nil : "not found")] }
        )
        let router = APIRouter(services: services)
        self.router = router
        self.database = database
        self.vms = vms
        adminToken = try await database.createToken(name: "admin", scopes: [.admin], now: .epoch).token.reveal()
        tcp = APIFront(router: router, listener: .tcp, database: database)
        unixSocket = APIFront(router: router, listener: .unixSocket, database: database)
    }

    static let silent = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    /// Sends a request over TCP; with the admin token unless another, or an empty one, is given.
    func send(
        _ method: HTTPRequest.Method,
        _ target: String,
        body: String? = nil,
        token: String? = nil,
        headers: [String: String] = [:],
        overUnixSocket: Bool = false
    ) async throws -> Reply {
        var fields = HTTPFields()
        let token = token ?? adminToken
        if !token.isEmpty, !overUnixSocket { fields[.authorization] = "Bearer \(token)" }
        if body != nil { fields[.contentType] = "application/json" }
        for (name, value) in headers {
            if let name = HTTPField.Name(name) { fields[name] = value }
        }
        let request = Request(
            head: HTTPRequest(
                method: method,
                scheme: "http",
                authority: "localhost",
                path: target,
                headerFields: fields
            ),
            body: RequestBody(buffer: ByteBuffer(string: body ?? ""))
        )
        let front = overUnixSocket ? unixSocket : tcp
        let response = await front.respond(to: request, logger: Self.silent)
        let sink = Sink()
        try await response.body.write(SinkWriter(sink: sink))
        return Reply(status: response.status.code, headers: response.headers, body: sink.bytes.withLock { $0 })
    }
}

/// What came back.
struct Reply: Sendable {
    let status: Int
    let headers: HTTPFields
    let body: [UInt8]

    var text: String { String(decoding: body, as: UTF8.self) }
    var json: JSONTree { get throws { try JSONTree(parsing: body) } }
    /// The last part of a problem's `type`.
    var slug: String? { (try? json)?["type"]?.string?.split(separator: "/").last.map(String.init) }

    func header(_ name: String) -> String? { HTTPField.Name(name).flatMap { headers[$0] } }
}

private final class Sink: Sendable {
    let bytes = Mutex<[UInt8]>([])
}

private struct SinkWriter: ResponseBodyWriter {
    let sink: Sink

    func write(_ buffer: ByteBuffer) async throws {
        sink.bytes.withLock { $0 += Array(buffer.readableBytesView) }
    }

    consuming func finish(_ trailingHeaders: HTTPFields?) async throws {}
}

/// VMs that exist in the database alone: starting one makes it running at once.
struct MemoryVMs: VMService {
    let database: WarrenDatabase

    func create(_ request: CreateVMRequest) async throws(VMError) -> VMRegistry.Created {
        guard request.image != "absent" else {
            throw .invalidSpec([FieldError(pointer: "/image", code: .notFound, detail: "is not an image here")])
        }
        guard request.name?.text != "too-much" else {
            throw .capacityExceeded(StateReason(code: "vm-count", message: "The host is full."))
        }
        var generator = SystemRandomNumberGenerator()
        let (spec, secrets) = request.resolved(
            defaults: VMDefaults(image: "micro", memoryMiB: 256, control: .embedded),
            using: &generator
        )
        var status = VMStatus(desiredState: .running, stateSince: .epoch)
        if spec.networkInterface != nil { status.network = NetworkStatus(state: .needsLogin, since: .epoch) }
        status.network?.loginUrl = "http://127.0.0.1:7081/a/secret"
        do {
            let record = try await database.createVM(
                id: VMID(now: .epoch + .milliseconds(database.latestEvent)),
                spec: spec,
                secrets: secrets,
                status: status,
                now: .epoch
            )
            let made = request.callbacksWithoutSecret.map { ($0, secrets.callbacks[$0]?.signingSecret) }
            return VMRegistry.Created(
                record: record,
                madeSecrets: Dictionary(made.compactMap { kind, secret in secret.map { (kind, $0) } }) { first, _ in
                    first
                }
            )
        } catch .nameTaken(let name) {
            throw .nameTaken(name.text)
        } catch {
            throw .store(error)
        }
    }

    func perform(
        _ request: LifecycleRequest,
        on reference: String,
        expecting generation: Int64?
    ) async throws(VMError) -> VMDriver.Transition {
        let record = try await record(reference)
        do {
            switch request {
            case .start: return try await move(record, to: .running, .running)
            case .stop: return try await move(record, to: .stopped, .stopped)
            case .pause: return try await move(record, to: .paused, .paused)
            case .resume: return try await move(record, to: .running, .running)
            case .restart: throw VMError.invalidTransition(from: record.status.state, request: "restart")
            case .delete:
                let deleted = try await database.finishDeletion(of: record.id, now: .epoch)
                return VMDriver.Transition(record: deleted, changed: true)
            }
        } catch let error as VMError {
            throw error
        } catch {
            throw .shuttingDown
        }
    }

    func edit(
        _ patch: VMPatch,
        of reference: String,
        expecting generation: Int64?
    ) async throws(VMError) -> VMRegistry.Created {
        let record = try await record(reference)
        var generator = SystemRandomNumberGenerator()
        let outcome: VMPatch.Outcome
        do throws(ValidationFailure) {
            outcome = try patch.applied(
                to: record.spec,
                try await secrets(of: record.id),
                limits: VMLimits(maxMemoryMiB: 1024, maxCPUs: 4),
                defaults: VMDefaults(image: "micro", memoryMiB: 256, control: .embedded),
                using: &generator
            )
        } catch { throw .invalidSpec(error.errors) }
        guard outcome.spec.networkInterface?.preferences.transport != .websocket else {
            throw .notStopped(record.status.state, members: ["networkInterface.transport"])
        }
        do throws(StoreError) {
            let edited = try await database.editVM(record.id, now: .epoch) { record, secrets in
                record.spec = outcome.spec
                secrets.callbacks = outcome.callbacks
            }
            let made = outcome.made.map { ($0, outcome.callbacks[$0]?.signingSecret) }
            return VMRegistry.Created(
                record: edited,
                madeSecrets: Dictionary(made.compactMap { kind, secret in secret.map { (kind, $0) } }) { $1 }
            )
        } catch { throw .store(error) }
    }

    private func secrets(of id: VMID) async throws(ValidationFailure) -> VMSecrets {
        // A VM that was just found has secrets.
        (try? await database.secrets(of: id)) ?? VMSecrets()
    }

    func logIn(_ request: NetworkLoginRequest, of reference: String) async throws(VMError) -> VMRecord {
        try await running(reference)
    }

    func logOut(of reference: String) async throws(VMError) -> VMRecord { try await running(reference) }

    func ping(_ request: NetworkPingRequest, from reference: String) async throws(VMError) -> NetworkPingAnswer {
        _ = try await running(reference)
        let answer = NetworkPingAnswer(
            peer: "db.warren.internal.",
            address: "100.64.0.4",
            kind: request.kind,
            replies: (0..<request.count).map { _ in NetworkPingReply(latencyMs: 0.5, endpoint: "127.0.0.1:41641") }
        )
        guard request.peer == "db", let answer else { throw .peerNotFound(request.peer) }
        return answer
    }

    private func running(_ reference: String) async throws(VMError) -> VMRecord {
        let record = try await record(reference)
        guard record.spec.networkInterface != nil else { throw .noNetwork(reference) }
        guard record.status.state != .stopped else { throw .networkNotRunning(reference) }
        return record
    }

    func exec(_ request: ExecRequest, in reference: String) async throws(VMError) -> ExecAnswer {
        let record = try await record(reference)
        guard record.status.state == .running else {
            throw .invalidTransition(from: record.status.state, request: "exec")
        }
        guard request.command != ["no-agent"] else { throw .noGuestAgent(reference) }
        return ExecAnswer(exitCode: 3, stdout: Array(request.command.joined(separator: " ").utf8), stderr: [])
    }

    func consoleLog(of reference: String, tail: Int) async throws(VMError) -> [UInt8] {
        Array("Linux version 6.1\nlogin: ".utf8.suffix(tail))
    }

    func network(of reference: String) async throws(VMError) -> NetworkDetail {
        guard let status = try await record(reference).status.network else { throw .noNetwork(reference) }
        return NetworkDetail(status: status)
    }

    func wait(for condition: VMCondition, of reference: String, timeout: Duration) async throws(VMError) -> WaitAnswer {
        let deadline = ContinuousClock.now + timeout
        while true {
            let record = try await record(reference)
            let isReached = condition.holds(for: record, isAgentReady: true)
            if isReached || ContinuousClock.now >= deadline {
                return WaitAnswer(reached: isReached, vm: record.virtualMachine)
            }
            await Task.yield()
        }
    }

    private func record(_ reference: String) async throws(VMError) -> VMRecord {
        guard let id = VMID(reference) else { throw .notFound(reference) }
        let record: VMRecord?
        do { record = try await database.vm(id) } catch { throw .store(error) }
        guard let record else { throw .notFound(reference) }
        return record
    }

    private func move(_ record: VMRecord, to state: VMState, _ event: EventType) async throws -> VMDriver.Transition {
        guard record.status.state != state else { return VMDriver.Transition(record: record, changed: false) }
        let changed = try await database.updateVM(record.id, now: .epoch) { record in
            record.status.state = state
            return [EventDraft(event)]
        }
        return VMDriver.Transition(record: changed, changed: true)
    }
}
