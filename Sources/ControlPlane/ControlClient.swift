import FoundationEssentials
package import Logging
package import NIOCore
import NIOHTTP1
package import NetTypes
package import Tailcfg
import WarrenCrypto

/// One node's session with its control server.
///
/// Requests share one HTTP/2 connection, dialled when it is first needed and again after it is lost; when to try again after a failure
/// is the caller's business (`Backoff`). Every reply is bounded in size and, follow-ups excepted, in time.
package actor ControlClient {
    private let configuration: ControlConfiguration
    private let transport: ControlTransport
    private let logger: Logger
    private var serverKey: MachinePublicKey?
    private var failedDials = 0
    private var lastDial: ContinuousClock.Instant?
    private var hint = ControlDialHint()
    private var connection: ControlConnection?
    private var dialing: Task<Result<ControlConnection, ControlError>, Never>?
    private var lastPingURL = ""
    private var isClosed = false

    /// A client that has not dialled yet; its channels live on `eventLoop`.
    package init(
        configuration: ControlConfiguration,
        eventLoop: any EventLoop,
        dialPolicy: any DialPolicy,
        logger: Logger
    ) {
        self.configuration = configuration
        self.logger = logger
        transport = ControlTransport(configuration: configuration, eventLoop: eventLoop, policy: dialPolicy)
    }

    /// Registers a node key; a request with a follow-up waits as long as the connection lives.
    /// - Throws: `ControlError`; a reply with an `error` member is not thrown but returned.
    package func register(_ request: RegisterRequest) async throws(ControlError) -> RegisterResponse {
        let keys = [request.oldNodeKey, request.nodeKey].filter { !$0.isZero }.map { ("ts-lb", $0.text) }
        let message = ControlRequest(
            .POST,
            "/machine/register",
            headers: HTTPHeaders(keys),
            body: try Self.encode(request)
        )
        let reply = try await perform(
            message,
            deadline: request.followup.isEmpty ? configuration.requestDeadline : nil
        )
        try reply.requireOK()
        do {
            return try JSONDecoder().decode(RegisterResponse.self, from: Data(reply.body.readableBytesView))
        } catch { throw .malformedResponse }
    }

    /// Tells the server that the node key of `request` is given up; drop the key whatever comes of it.
    package func logout(_ request: RegisterRequest) async throws(ControlError) {
        var request = request
        request.expiry = RegisterRequest.logoutExpiry
        request.followup = ""
        request.authKey = nil
        _ = try await register(request)
    }

    /// Polls the map until the server ends the stream, something fails, or the task is cancelled.
    ///
    /// `onResponse` gets every message, keep-alives too, one after another; the server is held back while it runs.
    /// - Throws: `.timedOut` when no complete message came for 120 s, `.malformedResponse` when the first real message lacks the node.
    package func mapPoll(
        _ request: MapRequest,
        onResponse: @Sendable (MapResponse) async -> Void
    ) async throws(ControlError) {
        var request = request
        request.stream = true
        request.compress = MapCompression.zstd.rawValue
        let connection = try await usableConnection()
        connection.beginRequest()
        defer { connection.endRequest() }
        do throws(ControlError) {
            let stream = try await connection.openMap(
                ControlRequest(.POST, "/machine/map", headers: Self.hint(request), body: try Self.encode(request)),
                maximumByteCount: configuration.maximumMapByteCount,
                watchdog: configuration.mapWatchdog
            )
            try await read(stream, resuming: request.mapSession?.handle, onResponse: onResponse)
        } catch {
            // Silence on the poll means that the whole connection is dead.
            if error == .timedOut || error == .connectionClosed { connection.retire() }
            throw error
        }
    }

    private func read(
        _ stream: NIOAsyncChannel<ByteBuffer, Never>,
        resuming session: String?,
        onResponse: @Sendable (MapResponse) async -> Void
    ) async throws(ControlError) {
        let limit = configuration.maximumMapByteCount
        do {
            try await stream.executeThenClose { inbound, _ in
                var sawNode = false
                for try await message in inbound {
                    let response = try await Self.decode(message, limit: limit)
                    // A session that goes on has had its node.
                    if let session, response.mapSessionHandle == session { sawNode = true }
                    if !response.keepAlive, !sawNode {
                        guard response.node != nil else { throw ControlError.malformedResponse }
                        sawNode = true
                    }
                    await onResponse(response)
                    if let plan = response.controlDialPlan { note(plan) }
                    if let rest = Self.rest(askedBy: response) {
                        try await stream.channel.triggerUserOutboundEvent(MapSuspension(duration: rest))
                        try await Task.sleep(for: rest)
                    }
                }
            }
        } catch is CancellationError {
            return
        } catch { throw ControlError(mapping: error) }
    }

    private func note(_ plan: ControlDialPlan) { hint.plan = plan }

    /// How long an overloaded server asks the poll to hold still.
    private static func rest(askedBy response: MapResponse) -> Duration? {
        guard let seconds = response.debug?.sleepSeconds, seconds.isFinite, seconds > 0 else { return nil }
        return min(.seconds(min(seconds, 1e6)), ControlConstants.maximumSleep)
    }

    /// Unfolding and decoding a large map takes a quarter of a second: not on the actor.
    @concurrent
    private static func decode(_ message: ByteBuffer, limit: Int) async throws(ControlError) -> MapResponse {
        let json = try MapFrameDecoder.unfold(message, compression: .zstd, maximumByteCount: limit)
        do {
            return try JSONDecoder.forMapStream.decode(MapResponse.self, from: Data(json.readableBytesView))
        } catch { throw .malformedResponse }
    }

    /// Publishes state without streaming; the reply's body means nothing.
    package func update(_ request: MapRequest) async throws(ControlError) {
        var request = request
        request.stream = false
        request.omitPeers = true
        let reply = try await perform(
            ControlRequest(.POST, "/machine/map", headers: Self.hint(request), body: try Self.encode(request)),
            deadline: configuration.requestDeadline
        )
        try reply.requireOK()
    }

    /// Answers a ping; the same URL twice in a row is answered once.
    ///
    /// `probe` pings a peer, or gives nil when it cannot. A ping outside Noise goes to the control server's own address only, whatever host its URL names.
    package func answerPing(
        _ request: PingRequest,
        probe: @Sendable (ControlPing.ProbeKind, IPAddress) async -> PingResponse?
    ) async throws(ControlError) {
        guard request.url != lastPingURL else { return }
        lastPingURL = request.url
        switch ControlPing(request) {
        case .ignore:
            return
        case .head(let url, let isNoise):
            try await send(.HEAD, url: url, body: ByteBuffer(), isNoise: isNoise)
        case .post(let path, let body):
            _ = try await perform(ControlRequest(.POST, path, body: body), deadline: ControlConstants.pingDeadline)
        case .probe(let url, let isNoise, let kinds, let address):
            for kind in kinds {
                guard let response = await probe(kind, address) else { continue }
                try await send(.POST, url: url, body: try Self.encode(response), isNoise: isNoise)
            }
        }
    }

    private func send(_ method: HTTPMethod, url: String, body: ByteBuffer, isNoise: Bool) async throws(ControlError) {
        guard let path = ControlPing.path(of: url) else { return }
        let request = ControlRequest(method, path, body: body)
        if isNoise {
            _ = try await perform(request, deadline: ControlConstants.pingDeadline)
        } else {
            _ = try await transport.perform(request, deadline: ControlConstants.pingDeadline)
        }
    }

    /// Ends the session: running requests and polls fail, new ones too.
    package func close() async {
        isClosed = true
        dialing?.cancel()
        await connection?.close()
        connection = nil
    }

    // MARK: - Connection

    private func perform(_ request: ControlRequest, deadline: Duration?) async throws(ControlError) -> ControlReply {
        let connection = try await usableConnection()
        do throws(ControlError) {
            return try await perform(request, deadline: deadline, over: connection)
        } catch {
            guard error == .connectionClosed, connection.isDismissed, !Task.isCancelled else { throw error }
            return try await perform(request, deadline: deadline, over: try await usableConnection())
        }
    }

    private func perform(
        _ request: ControlRequest,
        deadline: Duration?,
        over connection: ControlConnection
    ) async throws(ControlError) -> ControlReply {
        connection.beginRequest()
        defer { connection.endRequest() }
        do throws(ControlError) {
            return try await connection.perform(request, deadline: deadline)
        } catch {
            // What runs beside it, a follow-up or a poll, may still get its answer; new requests dial anew.
            if error == .timedOut || error == .connectionClosed { connection.retire() }
            throw error
        }
    }

    private func usableConnection() async throws(ControlError) -> ControlConnection {
        guard !isClosed else { throw .connectionClosed }
        if let connection, connection.isUsable { return connection }
        if let dialing { return try await dialing.value.get() }
        // Everybody who needs a connection waits for one dial; a caller that gives up must not end it for the others.
        let task = Task { await self.dial() }
        dialing = task
        return try await task.value.get()
    }

    private func dial() async -> Result<ControlConnection, ControlError> {
        defer { dialing = nil }
        do throws(ControlError) {
            let key: MachinePublicKey
            if let serverKey {
                key = serverKey
            } else {
                key = try await transport.fetchServerKey()
                serverKey = key
            }
            let now = ContinuousClock.now
            hint.skipsClearText = lastDial.map { now - $0 < ControlConstants.clearTextPause } ?? false
            lastDial = now
            let opened = try await transport.connect(serverKey: key, hint: hint)
            hint.prefersWebSocket = opened.carrier == .webSocket
            failedDials = 0
            guard !isClosed else {
                await opened.connection.close()
                return .failure(.connectionClosed)
            }
            connection?.closeIfUseless()
            connection = opened.connection
            logger.debug(
                "connected to the control server",
                metadata: ["server": "\(configuration.url.host)", "carrier": "\(opened.carrier)"]
            )
            return .success(opened.connection)
        } catch {
            noteFailedDial(error)
            return .failure(error)
        }
    }

    /// Forgets the server's key when it may be an old one.
    private func noteFailedDial(_ error: ControlError) {
        hint.prefersWebSocket = false
        failedDials += 1
        switch error {
        case .handshakeFailed, .invalidRecord, .connectionClosed:
            // A server that got a new key closes without a word.
            serverKey = nil
        default:
            if failedDials.isMultiple(of: ControlDefaults.failuresBeforeNewKey) { serverKey = nil }
        }
    }

    // MARK: - Bodies

    private static func hint(_ request: MapRequest) -> HTTPHeaders { ["ts-lb": request.nodeKey.text] }

    private static func encode(_ value: some Encodable) throws(ControlError) -> ByteBuffer {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .withoutEscapingSlashes
        do {
            let data = try encoder.encode(value)
            guard data.count <= ControlConstants.maximumBodyByteCount else { throw ControlError.oversized }
            return ByteBuffer(bytes: data)
        } catch let error as ControlError {
            throw error
        } catch { throw .malformedResponse }
    }
}
