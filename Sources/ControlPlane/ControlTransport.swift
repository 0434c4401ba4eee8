import FoundationEssentials
package import NIOCore
import NIOHTTP1
import NIOSSL
package import NetTypes
import Transport
package import WarrenCrypto

/// Opens connections to one control server: `/key` in HTTP, and the Noise stream with HTTP/2 inside.
///
/// `/key` is asked for by the scheme of the URL, because it is what all trust rests on. The Noise stream secures itself: it takes the
/// first of several routes that answers.
package struct ControlTransport: Sendable {
    private let configuration: ControlConfiguration
    private let eventLoop: any EventLoop
    private let dialer: StreamDialer

    /// A transport whose channels live on `eventLoop` and whose targets `policy` permits.
    package init(configuration: ControlConfiguration, eventLoop: any EventLoop, policy: any DialPolicy) {
        self.configuration = configuration
        self.eventLoop = eventLoop
        dialer = StreamDialer(
            eventLoop: eventLoop,
            policy: policy,
            purpose: .control,
            proxies: configuration.proxies
        )
    }

    // MARK: - Outside Noise

    /// Fetches the server's Noise key; redirects are not followed, because the URL is what was chosen to be trusted.
    /// - Throws: `.keyUnavailable` and the errors of dialling.
    package func fetchServerKey() async throws(ControlError) -> MachinePublicKey {
        let reply = try await perform(
            ControlRequest(.GET, "\(configuration.url.pathPrefix)/key?v=\(configuration.capabilityVersion)"),
            deadline: configuration.dialDeadline,
            maximumByteCount: ControlConstants.maximumKeyByteCount
        )
        guard reply.head.status == .ok else { throw .keyUnavailable(status: Int(reply.head.status.code)) }
        let body = Data(reply.body.readableBytesView)
        // Whatever keeps the body from being read, there is no key in it.
        guard let keys = try? JSONDecoder().decode(ServerKeys.self, from: body), let key = keys.publicKey, !key.isZero
        else { throw .keyUnavailable(status: nil) }
        return key
    }

    private struct ServerKeys: Decodable {
        let publicKey: MachinePublicKey?
    }

    /// Sends one request outside Noise on a connection of its own.
    package func perform(
        _ request: ControlRequest,
        deadline: Duration,
        maximumByteCount: Int = ControlConstants.maximumBodyByteCount
    ) async throws(ControlError) -> ControlReply {
        try requirePermittedScheme()
        var request = request
        request.headers.replaceOrAdd(name: "Connection", value: "close")
        let message = request
        let result = await StaggeredRace.run(within: deadline, discard: { _ in }) {
            () -> Result<ControlReply, ControlError> in
            await exchange(message, maximumByteCount: maximumByteCount)
        }
        return try result.get()
    }

    private func exchange(
        _ request: ControlRequest,
        maximumByteCount: Int
    ) async -> Result<ControlReply, ControlError> {
        let scope = DialScope(eventLoop: eventLoop)
        let url = configuration.url
        let reply = open(DialTarget(host: url.host, port: url.port), isTLS: url.isTLS, scope: scope).flatMap {
            channel in
            let promise = channel.eventLoop.makePromise(of: ControlReply.self)
            do {
                let pipeline = channel.pipeline.syncOperations
                let headGuard = ResponseHeadGuard()
                try pipeline.addHandlers(headGuard, HTTPRequestEncoder(), HTTPHandover.responseDecoder())
                try pipeline.addHandler(
                    ControlReplyCollector(
                        request: request,
                        authority: url.authority,
                        maximumByteCount: maximumByteCount,
                        deadline: nil,
                        headGuard: headGuard,
                        awaitsTLS: url.isTLS,
                        reply: promise
                    )
                )
            } catch { promise.fail(error) }
            return promise.futureResult
        }
        return await reply.value(cancelling: scope)
    }

    // MARK: - The Noise stream

    /// Dials, upgrades, runs the handshake and puts HTTP/2 on top, all within the dial deadline.
    package func connect(serverKey: MachinePublicKey) async throws(ControlError) -> ControlConnection {
        try await connect(serverKey: serverKey, hint: ControlDialHint()).connection
    }

    /// A connection, and what carries it.
    struct Dialed: Sendable {
        let connection: ControlConnection
        let carrier: ControlRoute.Carrier

        @Sendable static func discard(_ dialed: Dialed) { dialed.connection.channel.close(promise: nil) }
    }

    /// The same, by what earlier connections taught.
    func connect(serverKey: MachinePublicKey, hint: ControlDialHint) async throws(ControlError) -> Dialed {
        try requirePermittedScheme()
        let url = configuration.url
        // A proxy finds its own way to the host, and is not for clear text.
        let isProxied = url.isTLS && dialer.usesProxy(for: url.host, port: url.port)
        let candidates = isProxied ? [] : hint.candidates
        let skipsClearText = hint.skipsClearText || isProxied
        let result = await StaggeredRace.run(
            within: candidates.isEmpty ? configuration.dialDeadline : hint.deadline(configuration.dialDeadline),
            discard: Dialed.discard
        ) { () -> Result<Dialed, ControlError> in
            let entries = candidates.map { candidate in
                StaggeredRace.Entry<Dialed>(delay: candidate.delay) {
                    await StaggeredRace.run(within: candidate.timeout, discard: Dialed.discard) {
                        await dial(at: [candidate.address], serverKey, hint, skipsClearText: skipsClearText)
                    }
                }
            }
            if !entries.isEmpty, case .won(let dialed) = await StaggeredRace.run(entries, discard: Dialed.discard) {
                return .success(dialed)
            }
            return await dial(at: nil, serverKey, hint, skipsClearText: skipsClearText)
        }
        return try result.get()
    }

    /// Tries every route to the host, at these addresses or those of DNS.
    private func dial(
        at addresses: [IPAddress]?,
        _ serverKey: MachinePublicKey,
        _ hint: ControlDialHint,
        skipsClearText: Bool
    ) async -> Result<Dialed, ControlError> {
        let byWebSocket = configuration.url.webSocketRoute(configuration.standardPorts)
        if configuration.transport == .webSocket || hint.prefersWebSocket {
            let result = await attempt(byWebSocket, at: addresses, serverKey)
            guard case .failure = result, configuration.transport == .auto else { return result }
        }
        let routes = configuration.url.rawRoutes(configuration.standardPorts, skipsClearText: skipsClearText)
        let entries = routes.enumerated().map { index, route in
            StaggeredRace.Entry<Dialed>(delay: ControlConstants.dialRaceDelay * index) {
                await attempt(route, at: addresses, serverKey)
            }
        }
        switch await StaggeredRace.run(entries, discard: Dialed.discard) {
        case .won(let dialed):
            return .success(dialed)
        case .lost(let errors):
            let error = zip(routes, errors).first { !$0.0.isGuess }?.1 ?? .unreachable
            // What answers but does not upgrade is often a reverse proxy that knows WebSocket alone.
            guard case .upgradeRefused = error, !hint.prefersWebSocket, !Task.isCancelled else {
                return .failure(error)
            }
            let result = await attempt(byWebSocket, at: addresses, serverKey)
            guard case .failure = result else { return result }
            return .failure(error)
        }
    }

    /// Tries one route with an initiation of its own.
    private func attempt(
        _ route: ControlRoute,
        at addresses: [IPAddress]?,
        _ serverKey: MachinePublicKey
    ) async -> Result<Dialed, ControlError> {
        let scope = DialScope(eventLoop: eventLoop)
        let target = DialTarget(host: configuration.url.host, port: route.port, addresses: addresses)
        let configuration = configuration
        let connection = open(target, isTLS: route.isTLS, scope: scope).flatMap { channel in
            channel.eventLoop.makeCompletedFuture {
                try ControlHandover(configuration: configuration, serverKey: serverKey).run(route.carrier, on: channel)
            }.flatMap { $0 }
        }
        return await connection.value(cancelling: scope).map { Dialed(connection: $0, carrier: route.carrier) }
    }

    // MARK: - Dialling

    /// Clear text is for the hosts that the configuration allows it for: `/key` would not be authentic.
    private func requirePermittedScheme() throws(ControlError) {
        guard !configuration.url.isTLS else { return }
        switch configuration.plainHTTP {
        case .allowed: break
        case .localOnly where configuration.url.isLocal: break
        case .localOnly, .refused: throw .plainHTTPRefused
        }
    }

    /// Connects, with TLS where it is asked for; hands over on the event loop.
    private func open(_ target: DialTarget, isTLS: Bool, scope: DialScope) -> EventLoopFuture<any Channel> {
        // The peer that NIOSSL would compare with the certificate is the proxy here.
        if isTLS, ClientTLS.serverName(of: target.host) == nil, dialer.usesProxy(for: target.host, port: target.port) {
            return eventLoop.makeFailedFuture(ControlError.tlsFailed)
        }
        let tls: NIOSSLContext?
        // Loading the authorities takes its time: not on the loop, where a node's packets are.
        do { tls = isTLS ? try ClientTLS.context(configuration.tls) : nil } catch {
            return eventLoop.makeFailedFuture(error)
        }
        return dialer.connect(
            to: target,
            isSecure: isTLS,
            within: TimeAmount(configuration.dialDeadline),
            scope: scope
        ).flatMapThrowing { channel in
            guard let tls else { return channel }
            try channel.pipeline.syncOperations.addHandler(ClientTLS.handler(tls, host: target.host))
            return channel
        }
    }
}

extension EventLoopFuture where Value: Sendable {
    /// The value; when the task is cancelled everything in `scope` is closed, which fails whatever waits for it.
    fileprivate func value(cancelling scope: DialScope) async -> Result<Value, ControlError> {
        await withTaskCancellationHandler {
            do {
                return .success(try await get())
            } catch {
                // What a failed attempt has opened is of no use to anybody.
                scope.cancel()
                return .failure(ControlError(mapping: error))
            }
        } onCancel: {
            scope.cancel()
        }
    }
}

extension EventLoopFuture where Value: Sendable {
    /// The value; when the task is cancelled the channel is closed, which fails whatever waits for it.
    func closingOnCancellation(_ channel: EventLoopFuture<any Channel>) async throws -> Value {
        try await withTaskCancellationHandler {
            try await get()
        } onCancel: {
            channel.whenSuccess { $0.close(promise: nil) }
        }
    }
}
