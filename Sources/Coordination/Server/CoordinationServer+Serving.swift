import ControlPlane
import Logging
import NIOCore
import NIOHTTP1
import NIOHTTP2
import NetTypes
import ServiceLifecycle
import Synchronization

extension CoordinationServer {
    /// Takes connections until the server stops; with the first sign of that, no new ones.
    func accept(from listener: CoordinationListener) async throws {
        try await withGracefulShutdownHandler {
            try await listener.channel.executeThenClose { accepted in
                try await withThrowingDiscardingTaskGroup { group in
                    for try await connection in accepted {
                        group.addTask { await self.serve(connection) }
                    }
                }
            }
        } onGracefulShutdown: {
            listener.channel.channel.close(promise: nil)
        }
    }

    private func serve(_ accepted: CoordinationListener.Accepted) async {
        do {
            let connection = try await accepted.get()
            let peer = connection.channel.remoteAddress?.ipAddress.flatMap { IPAddress($0) }
            switch connection {
            case .noise(let session, let headers):
                let client = trust.client(of: peer, forwardedFor: headers["x-forwarded-for"])
                await limiter.withPlace(for: client) {
                    await limiter.withPlace(for: session.machineKey) {
                        await serve(session, remoteAddress: client?.description)
                    }
                }
            case .plain(let channel):
                // A proxy sends everybody's requests over its connections.
                await limiter.withPlace(for: peer.flatMap { trust.contains($0.unmapped) ? nil : $0 }) {
                    await serve(channel)
                }
            }
            connection.channel.close(promise: nil)
        } catch {
            logger.trace("connection refused", metadata: ["error": "\(error)"])
        }
    }

    private func serve(_ session: ControlServerConnection, remoteAddress: String?) async {
        let load = RequestLoad()
        await withTaskCancellationHandler {
            await withGracefulShutdownHandler {
                await withDiscardingTaskGroup { group in
                    do {
                        for try await stream in session.streams {
                            let isAccepted = load.begin()
                            group.addTask {
                                await self.routes.serve(
                                    stream,
                                    machineKey: session.machineKey,
                                    remoteAddress: remoteAddress,
                                    isAccepted: isAccepted
                                )
                                load.end()
                            }
                        }
                    } catch {
                        self.logger.trace("session ended", metadata: ["error": "\(error)"])
                    }
                    group.cancelAll()
                }
            } onGracefulShutdown: {
                session.goAway()
            }
        } onCancel: {
            session.channel.close(promise: nil)
        }
    }

    private func serve(_ channel: NIOAsyncChannel<HTTPServerRequestPart, HTTPServerResponsePart>) async {
        do {
            try await channel.executeThenClose { inbound, outbound in
                try await serve(inbound, outbound)
            }
        } catch {
            logger.trace("connection ended", metadata: ["error": "\(error)"])
        }
    }

    private func serve(
        _ inbound: NIOAsyncChannelInboundStream<HTTPServerRequestPart>,
        _ outbound: NIOAsyncChannelOutboundWriter<HTTPServerResponsePart>
    ) async throws {
        var reader = HTTPCallReader(inbound.makeAsyncIterator(), limit: OuterRoutes.maximumBodyByteCount)
        do {
            while let call = try await reader.next() {
                var reply = await outer.reply(to: call)
                let isLast = !call.head.isKeepAlive
                if isLast { reply.headers.replaceOrAdd(name: "connection", value: "close") }
                try await Self.send(reply, withBody: call.head.method != .HEAD, outbound)
                if isLast { return }
            }
        } catch let failure as HTTPCallFailure where failure != .incomplete {
            var reply =
                failure == .bodyTooLarge
                ? HTTPReply.text(.payloadTooLarge, "request body too large\n")
                : HTTPReply.text(.badRequest, "invalid upgrade request\n")
            reply.headers.replaceOrAdd(name: "connection", value: "close")
            try await Self.send(reply, withBody: true, outbound)
        }
    }

    private static func send(
        _ reply: HTTPReply,
        withBody: Bool,
        _ outbound: NIOAsyncChannelOutboundWriter<HTTPServerResponsePart>
    ) async throws {
        try await outbound.write(.head(reply.head(version: .http1_1)))
        if withBody { try await outbound.write(.body(.byteBuffer(reply.body))) }
        try await outbound.write(.end(nil))
    }
}

/// How many requests of one session run.
private final class RequestLoad: Sendable {
    private let count = Atomic(0)

    /// Counts one in; false when there are enough already.
    func begin() -> Bool {
        count.wrappingAdd(1, ordering: .relaxed).newValue <= CoordinationDefaults.maximumRequests
    }

    /// Counts one out.
    func end() { count.wrappingSubtract(1, ordering: .relaxed) }
}
