package import NIOCore
package import NIOHTTP1
package import NIOHTTP2
package import WarrenCrypto

/// One request stream inside Noise at the server, as HTTP/1-style parts with back-pressure both ways.
///
/// After writing `.end`, read the inbound side to its end before leaving `executeThenClose`: the stream closes by itself when everything
/// is sent, while closing it earlier resets it and loses what still waits for the client's window.
package typealias ControlServerStream = NIOAsyncChannel<HTTPServerRequestPart, HTTPServerResponsePart>

/// A client's connection at the server after the Noise handshake.
package struct ControlServerConnection: Sendable {
    /// The connection; closing it ends every stream.
    package let channel: any Channel
    /// The authenticated identity of the client.
    package let machineKey: MachinePublicKey
    /// The protocol version that the client claimed in the handshake.
    package let version: UInt16
    /// The streams that the client opens, in their order; has one consumer.
    package let streams: NIOHTTP2AsyncSequence<ControlServerStream>

    /// Tells the client to send new requests elsewhere; those that run go on.
    package func goAway() { channel.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent()) }

    /// Settings of the HTTP/2 server: windows of 1 MiB, and room for a poll, updates and answers at once.
    package static var http2: NIOHTTP2Handler.Configuration {
        var configuration = NIOHTTP2Handler.Configuration()
        configuration.connection.initialSettings = [
            HTTP2Setting(parameter: .maxConcurrentStreams, value: ControlDefaults.maximumConcurrentStreams),
            HTTP2Setting(parameter: .initialWindowSize, value: ControlDefaults.streamWindowByteCount),
            HTTP2Setting(parameter: .maxHeaderListSize, value: ControlDefaults.maximumHeaderByteCount),
        ]
        configuration.connection.targetWindowSize = ControlDefaults.connectionWindowByteCount
        configuration.stream.targetWindowSize = ControlDefaults.streamWindowByteCount
        return configuration
    }

    /// Runs the responder on a channel whose HTTP/1.1 upgrade is done, and puts HTTP/2 on top.
    ///
    /// On the channel's event loop. A refused initiation is answered as the protocol says and the channel closed.
    package static func accept(
        on channel: any Channel,
        initiation: [UInt8],
        serverKey: MachinePrivateKey,
        earlyPayload: EarlyPayload?
    ) -> EventLoopFuture<ControlServerConnection> {
        let acceptance: ControlNoiseHandshake.Acceptance
        do throws(ControlError) {
            acceptance = try ControlNoiseHandshake.accept(initiation, serverKey: serverKey)
        } catch {
            return refuse(error, on: channel)
        }
        return channel.eventLoop.makeCompletedFuture {
            let machineKey = acceptance.machineKey
            let version = acceptance.version
            let pipeline = channel.pipeline.syncOperations
            try pipeline.addHandler(try ControlNoiseHandler(accepted: acceptance, earlyPayload: earlyPayload))
            let keeper = SessionKeeper()
            let multiplexer = try pipeline.configureAsyncHTTP2Pipeline(
                mode: .server,
                streamDelegate: keeper.streamCounter(on: channel.eventLoop),
                configuration: http2
            ) { stream in
                stream.eventLoop.makeCompletedFuture {
                    try stream.pipeline.syncOperations.addHandler(HTTP2FramePayloadToHTTP1ServerCodec())
                    let wrapped = try ControlServerStream(wrappingChannelSynchronously: stream)
                    // A stream that comes when nobody takes streams any more is dropped, and NIO ends the process for a
                    // wrapper that goes before its channel does.
                    stream.closeFuture.whenComplete { _ in withExtendedLifetime(wrapped) {} }
                    return wrapped
                }
            }
            try pipeline.addHandler(keeper)
            // Response, early payload and settings leave together: clients count round trips while they dial.
            channel.flush()
            return ControlServerConnection(
                channel: channel,
                machineKey: machineKey,
                version: version,
                streams: multiplexer.inbound
            )
        }
    }

    private static func refuse(
        _ error: ControlError,
        on channel: any Channel
    ) -> EventLoopFuture<ControlServerConnection> {
        let failed: EventLoopFuture<ControlServerConnection> = channel.eventLoop.makeFailedFuture(error)
        guard case .handshakeFailed(let fault) = error, let frame = ControlNoiseHandshake.errorFrame(for: fault) else {
            return channel.close().flatMapErrorWithEventLoop { _, loop in loop.makeSucceededVoidFuture() }
                .flatMap { failed }
        }
        return channel.writeAndFlush(frame).flatMapWithEventLoop { _, _ in channel.close() }
            .flatMapErrorWithEventLoop { _, loop in loop.makeSucceededVoidFuture() }
            .flatMap { failed }
    }
}

/// The `POST /ts2021` upgrade for NIO's typed HTTP server upgrade handler.
///
/// A request that is no proper upgrade is not upgraded and falls through to the ordinary routes; there
/// `ControlUpgrade.initiation(in:)` says with which text it is answered.
package struct ControlServerUpgrader<UpgradeResult: Sendable>: NIOTypedHTTPServerProtocolUpgrader {
    private let serverKey: MachinePrivateKey
    private let earlyPayload: @Sendable () -> EarlyPayload?
    private let result: @Sendable (ControlServerConnection, HTTPRequestHead) -> UpgradeResult

    /// An upgrader that hands every accepted connection and its request to `result`; `earlyPayload` is asked once a connection.
    package init(
        serverKey: MachinePrivateKey,
        earlyPayload: @escaping @Sendable () -> EarlyPayload?,
        result: @escaping @Sendable (ControlServerConnection, HTTPRequestHead) -> UpgradeResult
    ) {
        self.serverKey = serverKey
        self.earlyPayload = earlyPayload
        self.result = result
    }

    /// `tailscale-control-protocol`.
    package var supportedProtocol: String { ControlConstants.upgradeToken }
    /// None: NIO would ask `Connection` to list them, which clients do not.
    package var requiredUpgradeHeaders: [String] { [] }

    /// Checks path and initiation before the 101 is sent.
    package func buildUpgradeResponse(
        channel: any Channel,
        upgradeRequest: HTTPRequestHead,
        initialResponseHeaders: HTTPHeaders
    ) -> EventLoopFuture<HTTPHeaders> {
        guard upgradeRequest.method == .POST, upgradeRequest.uri == ControlConstants.upgradePath else {
            return channel.eventLoop.makeFailedFuture(ControlUpgradeRefusal.unknownProtocol)
        }
        return switch ControlUpgrade.initiation(in: upgradeRequest) {
        case .success: channel.eventLoop.makeSucceededFuture(initialResponseHeaders)
        case .failure(let refusal): channel.eventLoop.makeFailedFuture(refusal)
        }
    }

    /// Runs the handshake and sets HTTP/2 up.
    package func upgrade(channel: any Channel, upgradeRequest: HTTPRequestHead) -> EventLoopFuture<UpgradeResult> {
        let result = result
        return switch ControlUpgrade.initiation(in: upgradeRequest) {
        case .success(let initiation):
            ControlServerConnection.accept(
                on: channel,
                initiation: initiation,
                serverKey: serverKey,
                earlyPayload: earlyPayload()
            ).map { result($0, upgradeRequest) }
        case .failure(let refusal):
            channel.eventLoop.makeFailedFuture(refusal)
        }
    }
}
