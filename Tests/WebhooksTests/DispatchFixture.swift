import Foundation
import Logging
import NIOCore
import NIOHTTP1
import NIOPosix
import NetTypes
import Store
import Synchronization
import WarrenModel
import Webhooks

/// A request as a receiver saw it.
struct ReceivedRequest: Sendable {
    let head: HTTPRequestHead
    let body: [UInt8]

    func field(_ name: String) -> String? { head.headers.first(name: name) }
}

/// A webhook receiver on loopback that answers what the test says, or never.
final class Receiver: Sendable {
    enum Reply: Sendable {
        case status(Int, headers: [(String, String)] = [], body: String = "")
        case silence
        /// This status, and a body that never comes to its end.
        case endlessBody(Int)
    }

    private struct State {
        var requests: [ReceivedRequest] = []
        var replies: [Reply] = []
        var waiters: [(count: Int, continuation: CheckedContinuation<Void, Never>)] = []
    }

    private let state = Mutex(State())
    private let channel = Mutex<(any Channel)?>(nil)

    /// Answers with `replies` in order, and with 204 when they are used up.
    init(replies: [Reply] = []) async throws {
        state.withLock { $0.replies = replies }
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.pipeline.configureHTTPServerPipeline().flatMapThrowing {
                    try channel.pipeline.syncOperations.addHandler(ReceiverHandler(receiver: self))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        self.channel.withLock { $0 = channel }
    }

    var port: Int { channel.withLock { $0?.localAddress?.port ?? 0 } }
    var requests: [ReceivedRequest] { state.withLock { $0.requests } }

    func url(_ host: String = "127.0.0.1") throws -> WebURL {
        guard let url = WebURL("http://\(host):\(port)/hook?x=1") else { throw CocoaError(.coderInvalidValue) }
        return url
    }

    func close() async throws { try await channel.withLock { $0 }?.close() }

    /// Returns once `count` requests have come.
    func waitForRequests(_ count: Int) async {
        await withCheckedContinuation { continuation in
            let isThere = state.withLock { state in
                if state.requests.count >= count { return true }
                state.waiters.append((count, continuation))
                return false
            }
            if isThere { continuation.resume() }
        }
    }

    fileprivate func receive(_ request: ReceivedRequest) -> Reply {
        let (reply, woken) = state.withLock { state in
            state.requests.append(request)
            let count = state.requests.count
            let woken = state.waiters.filter { $0.count <= count }.map(\.continuation)
            state.waiters.removeAll { $0.count <= count }
            return (state.replies.isEmpty ? Reply.status(204) : state.replies.removeFirst(), woken)
        }
        for continuation in woken { continuation.resume() }
        return reply
    }
}

private final class ReceiverHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let receiver: Receiver
    private var head: HTTPRequestHead?
    private var body: [UInt8] = []

    init(receiver: Receiver) { self.receiver = receiver }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            self.head = head
            body = []
        case .body(let buffer): body += Array(buffer.readableBytesView)
        case .end:
            guard let head else { return }
            let code: Int
            let fields: [(String, String)]
            let text: String
            switch receiver.receive(.init(head: head, body: body)) {
            case .status(let status, let headers, let body): (code, fields, text) = (status, headers, body)
            case .silence: return
            case .endlessBody(let status):
                let headers = HTTPHeaders([("content-length", "100")])
                let response = HTTPResponseHead(version: .http1_1, status: .init(statusCode: status), headers: headers)
                context.write(wrapOutboundOut(.head(response)), promise: nil)
                return context.writeAndFlush(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: "x")))), promise: nil)
            }
            var headers = HTTPHeaders(fields)
            if code != 204 { headers.replaceOrAdd(name: "content-length", value: "\(text.utf8.count)") }
            let response = HTTPResponseHead(version: .http1_1, status: .init(statusCode: code), headers: headers)
            context.write(wrapOutboundOut(.head(response)), promise: nil)
            if !text.isEmpty {
                context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: text)))), promise: nil)
            }
            context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        }
    }
}

/// A clock that stands still until it is moved, and moves by itself to where somebody sleeps when `isJumping`.
final class ManualClock: DeliveryClock {
    private struct State {
        var now: Timestamp
        var sleepers: [Int: (until: Timestamp, continuation: CheckedContinuation<Void, Never>)] = [:]
        var nextSleeper = 0
    }

    private let state: Mutex<State>
    private let isJumping: Bool

    init(_ now: Timestamp, isJumping: Bool) {
        state = Mutex(State(now: now))
        self.isJumping = isJumping
    }

    var now: Timestamp { state.withLock { $0.now } }

    func sleep(until moment: Timestamp) async throws {
        if isJumping {
            state.withLock { $0.now = max($0.now, moment) }
            return try Task.checkCancellation()
        }
        let sleeper = state.withLock { state in
            state.nextSleeper += 1
            return state.nextSleeper
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isOver = state.withLock { state in
                    if state.now >= moment || Task.isCancelled { return true }
                    state.sleepers[sleeper] = (moment, continuation)
                    return false
                }
                if isOver { continuation.resume() }
            }
        } onCancel: {
            state.withLock { $0.sleepers.removeValue(forKey: sleeper)?.continuation }?.resume()
        }
        try Task.checkCancellation()
    }
}

/// Names that the test knows.
struct TableResolver: HostResolver {
    let table: [String: [String]]

    func addresses(of host: String) async throws -> [IPAddress] {
        if let address = IPAddress(host) { return [address] }
        guard let texts = table[host] else { throw TargetError.unresolved }
        return texts.compactMap { IPAddress($0) }
    }
}

/// A store with one VM whose callbacks go to a receiver.
final class DispatchFixture: Sendable {
    let directory: String
    let store: WarrenDatabase
    let vm: VMRecord
    let secret: WebhookSecret
    let start = Timestamp(millisecondsSinceEpoch: 1_795_397_580_000)

    init(url: WebURL) async throws {
        directory = NSTemporaryDirectory() + "warren-webhooks-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        store = try WarrenDatabase(stateDirectory: directory, logger: Logger(label: "warren.store.tests"))
        guard let name = VMName("web"), let secret = WebhookSecret(keyBytes: [UInt8](repeating: 9, count: 32)) else {
            throw CocoaError(.coderInvalidValue)
        }
        self.secret = secret
        let callback = CallbackSecrets(signingSecret: secret, headers: ["X-Tenant": SecretText("blue")])
        let interface = NetworkInterfaceSpec(
            control: .embedded,
            hasAuthKey: false,
            callbacks: Dictionary(uniqueKeysWithValues: CallbackKind.allCases.map { ($0, CallbackSpec(url: url)) }),
            hostname: name
        )
        vm = try await store.createVM(
            id: VMID(now: start),
            spec: VMSpec(name: name, image: "micro", memoryMiB: 64, networkInterface: interface),
            secrets: VMSecrets(
                callbacks: Dictionary(uniqueKeysWithValues: CallbackKind.allCases.map { ($0, callback) })
            ),
            status: VMStatus(desiredState: .running, stateSince: start, network: NetworkStatus(since: start)),
            now: start
        )
    }

    deinit { try? FileManager.default.removeItem(atPath: directory) }

    func askForLogin(_ number: Int) async throws {
        try await store.append(.loginRequired(loginURL: "https://c.example/l/\(number)"), about: vm.id, now: start)
    }

    func changeState() async throws {
        try await store.append(.stateChanged(to: .running, from: .starting), about: vm.id, now: start)
    }

    static let open = TargetPolicy(allowedNetworks: ["127.0.0.0/8"].compactMap { IPPrefix($0) }, allowsHTTP: true)

    /// Runs a dispatcher while `body` runs.
    func dispatching<Value: Sendable>(
        policy: TargetPolicy = DispatchFixture.open,
        clock: (any DeliveryClock)? = nil,
        timeout: Duration = .seconds(15),
        names: [String: [String]] = [:],
        _ body: @Sendable () async throws -> Value
    ) async throws -> Value {
        let dispatcher = WebhookDispatcher(
            store: store,
            policy: policy,
            configuration: .init(timeout: timeout),
            resolver: TableResolver(table: names),
            clock: clock ?? ManualClock(start, isJumping: true),
            group: MultiThreadedEventLoopGroup.singleton,
            logger: Logger(label: "warren.webhooks.tests", factory: { _ in SwiftLogNoOpLogHandler() })
        )
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await dispatcher.run() }
            let value = try await body()
            group.cancelAll()
            try await group.waitForAll()
            return value
        }
    }

    /// Polls the store, a few milliseconds apart, until a delivery has this status.
    func waitForDelivery(_ status: DeliveryStatus, count: Int = 1) async throws -> [DeliveryReport] {
        while true {
            let reports = try await store.deliveries(status: status, limit: 100)
            if reports.count >= count { return reports }
            try await Task.sleep(for: .milliseconds(2))
        }
    }
}
