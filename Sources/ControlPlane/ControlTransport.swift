import FoundationEssentials
package import NIOCore
import NIOHTTP1
import NIOHTTP2
import NIOPosix
import NIOSSL
package import NetTypes
package import WarrenCrypto

/// Opens connections to one control server: `/key` in HTTP, and the Noise stream with HTTP/2 inside.
///
/// The scheme of the URL decides how: `http` speaks clear text on its port, `https` speaks TLS on its port.
package struct ControlTransport: Sendable {
    private let configuration: ControlConfiguration
    private let eventLoop: any EventLoop
    private let policy: any DialPolicy

    /// A transport whose channels live on `eventLoop` and whose targets `policy` permits.
    package init(configuration: ControlConfiguration, eventLoop: any EventLoop, policy: any DialPolicy) {
        self.configuration = configuration
        self.eventLoop = eventLoop
        self.policy = policy
    }

    /// Fetches the server's Noise key; redirects are not followed.
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

    /// Sends one request outside Noise on a connection of its own.
    package func perform(
        _ request: ControlRequest,
        deadline: Duration,
        maximumByteCount: Int = ControlConstants.maximumBodyByteCount
    ) async throws(ControlError) -> ControlReply {
        var request = request
        request.headers.replaceOrAdd(name: "Connection", value: "close")
        let message = request
        let end = NIODeadline.now() + TimeAmount(deadline)
        let authority = configuration.url.authority
        let promise = eventLoop.makePromise(of: ControlReply.self)
        let channel = dial().flatMapThrowing { channel in
            let pipeline = channel.pipeline.syncOperations
            try pipeline.addHandlers(HTTPRequestEncoder(), Self.responseDecoder())
            try pipeline.addHandler(
                ControlReplyCollector(
                    request: message,
                    authority: authority,
                    maximumByteCount: maximumByteCount,
                    deadline: Duration(max(end - .now(), .zero)),
                    reply: promise
                )
            )
            return channel
        }
        channel.whenFailure { promise.fail($0) }
        do {
            return try await promise.futureResult.closingOnCancellation(channel)
        } catch { throw ControlError(mapping: error) }
    }

    private static func responseDecoder() -> ByteToMessageHandler<HTTPResponseDecoder> {
        var limits = NIOHTTPDecoderLimitConfiguration()
        limits.maxHeaderFieldSize = ControlDefaults.maximumHeaderByteCount
        limits.maxHeaderListSize = ControlDefaults.maximumHeaderByteCount
        limits.maxHeaderFieldCount = ControlDefaults.maximumHeaderCount
        return ByteToMessageHandler(
            HTTPResponseDecoder(leftOverBytesStrategy: .forwardBytes, limitConfiguration: limits)
        )
    }

    private struct ServerKeys: Decodable {
        let publicKey: MachinePublicKey?
    }

    /// Dials, upgrades, runs the handshake and puts HTTP/2 on top, all within the dial deadline.
    package func connect(serverKey: MachinePublicKey) async throws(ControlError) -> ControlConnection {
        let initiator = try ControlNoiseHandshake.Initiator(
            machineKey: configuration.machineKey,
            serverKey: serverKey,
            version: configuration.capabilityVersion
        )
        let head = ControlUpgrade.requestHead(
            url: configuration.url,
            initiation: initiator.initiation,
            userAgent: ControlRequest.userAgent
        )
        let authority = configuration.url.authority
        let promise = eventLoop.makePromise(of: ControlConnection.self)
        let deadline = TimeAmount(configuration.dialDeadline)
        // The initiator crosses to the loop once; the box says that nobody else touches it.
        let box = InitiatorBox(initiator)
        let channel = dial().flatMapThrowing { channel in
            guard let initiator = box.take() else { throw ControlError.connectionClosed }
            try Self.configure(channel, head: head, initiator: initiator, authority: authority, connection: promise)
            return channel
        }
        channel.whenFailure { promise.fail($0) }
        let alarm = eventLoop.scheduleTask(in: deadline) {
            promise.fail(ControlError.timedOut)
            channel.whenSuccess { $0.close(promise: nil) }
        }
        promise.futureResult.whenComplete { result in
            alarm.cancel()
            if case .failure = result { channel.whenSuccess { $0.close(promise: nil) } }
        }
        do {
            return try await promise.futureResult.closingOnCancellation(channel)
        } catch { throw ControlError(mapping: error) }
    }

    private static func configure(
        _ channel: any Channel,
        head: HTTPRequestHead,
        initiator: consuming ControlNoiseHandshake.Initiator,
        authority: String,
        connection: EventLoopPromise<ControlConnection>
    ) throws {
        let pipeline = channel.pipeline.syncOperations
        let upgraded = channel.eventLoop.makePromise(of: Void.self)
        let opened = channel.eventLoop.makePromise(of: Void.self)
        let encoder = HTTPRequestEncoder()
        let decoder = responseDecoder()
        let upgrade = ControlUpgradeClientHandler(head: head, upgraded: upgraded)
        let noise = ControlNoiseHandler(initiator: initiator, opened: opened)
        let bound = NIOLoopBound((encoder, decoder, upgrade, noise), eventLoop: channel.eventLoop)
        upgraded.futureResult.whenComplete { result in
            let (encoder, decoder, upgrade, noise) = bound.value
            let pipeline = channel.pipeline.syncOperations
            do {
                try result.get()
                let gate = HandoverGate()
                try pipeline.addHandlers([gate, noise], position: .after(upgrade))
                pipeline.removeHandler(encoder, promise: nil)
                // The decoder hands what it still holds to the handlers behind it before it is gone.
                let removed = channel.eventLoop.makePromise(of: Void.self)
                pipeline.removeHandler(decoder, promise: removed)
                let leaving = NIOLoopBound((upgrade, gate), eventLoop: channel.eventLoop)
                removed.futureResult.whenComplete { _ in
                    let (upgrade, gate) = leaving.value
                    channel.pipeline.syncOperations.removeHandler(upgrade, promise: nil)
                    channel.pipeline.syncOperations.removeHandler(gate, promise: nil)
                }
            } catch { opened.fail(error) }
        }
        opened.futureResult.flatMapThrowing {
            try ControlConnection(configuring: channel, authority: authority)
        }.cascade(to: connection)
        try pipeline.addHandlers([encoder, decoder, upgrade])
    }

    /// Connects, with TLS where the URL asks for it.
    private func dial() -> EventLoopFuture<any Channel> {
        let url = configuration.url
        if !url.isTLS {
            switch configuration.plainHTTP {
            case .allowed: break
            case .localOnly where url.isLocal: break
            case .localOnly, .refused: return eventLoop.makeFailedFuture(ControlError.plainHTTPRefused)
            }
        }
        let policy = policy
        let tls: NIOSSLContext?
        do {
            var settings = configuration.tls
            settings.applicationProtocols = ["http/1.1"]
            tls = url.isTLS ? try NIOSSLContext(configuration: settings) : nil
        } catch { return eventLoop.makeFailedFuture(ControlError.tlsFailed) }
        let isLiteral = IPAddress(url.host) != nil
        let bootstrap = ClientBootstrap(group: eventLoop)
            .connectTimeout(TimeAmount(configuration.dialDeadline))
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelOption(.socketOption(.so_keepalive), value: 1)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let pipeline = channel.pipeline.syncOperations
                    try pipeline.addHandler(DialPolicyHandler(policy: policy))
                    if let tls {
                        let name = isLiteral ? nil : url.host
                        try pipeline.addHandler(try NIOSSLClientHandler(context: tls, serverHostname: name))
                    }
                }
            }
        guard isLiteral else { return bootstrap.connect(host: url.host, port: url.port) }
        do {
            return bootstrap.connect(to: try SocketAddress(ipAddress: url.host, port: url.port))
        } catch {
            return eventLoop.makeFailedFuture(error)
        }
    }
}

/// Carries a noncopyable initiator into a callback of the event loop, where it is taken once.
private final class InitiatorBox: @unchecked Sendable {
    // Written before the callback is registered and read once by it, on one event loop: never at the same time.
    private var initiator: ControlNoiseHandshake.Initiator?

    init(_ initiator: consuming ControlNoiseHandshake.Initiator) {
        self.initiator = consume initiator
    }

    func take() -> ControlNoiseHandshake.Initiator? {
        initiator.take()
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
