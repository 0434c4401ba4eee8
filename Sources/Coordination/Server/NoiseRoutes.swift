import ControlPlane
import FoundationEssentials
import Logging
import NIOCore
import NIOHTTP1
import Tailcfg
import WarrenCrypto

/// What the server answers inside a Noise session, one request stream at a time.
struct NoiseRoutes: Sendable {
    let registry: NodeRegistry
    let packer: MapPacker
    let logger: Logger

    private typealias Outbound = NIOAsyncChannelOutboundWriter<HTTPServerResponsePart>

    /// Serves one stream of a session, or refuses it when the session has enough of them; whatever fails ends the stream alone.
    func serve(
        _ stream: ControlServerStream,
        machineKey: MachinePublicKey,
        remoteAddress: String?,
        isAccepted: Bool
    ) async {
        do {
            try await stream.executeThenClose { inbound, outbound in
                var reader = HTTPCallReader(
                    inbound.makeAsyncIterator(),
                    limit: CoordinationConstants.maximumBodyByteCount
                )
                do {
                    guard let call = try await reader.next() else { return }
                    guard isAccepted else {
                        return try await Self.send(.tooManyRequests("too many requests at once\n", after: 1), outbound)
                    }
                    try await answer(
                        call,
                        stream.channel,
                        outbound,
                        machineKey: machineKey,
                        remoteAddress: remoteAddress
                    )
                } catch HTTPCallFailure.bodyTooLarge {
                    try await Self.send(.text(.payloadTooLarge, "request body too large\n"), outbound)
                }
            }
        } catch {
            // A reset stream is the normal end of a poll.
            logger.trace("stream ended", metadata: ["error": "\(error)"])
        }
    }

    private func answer(
        _ call: HTTPCall,
        _ channel: any Channel,
        _ outbound: Outbound,
        machineKey: MachinePublicKey,
        remoteAddress: String?
    ) async throws {
        switch (call.head.method, call.path) {
        case (.POST, "/machine/map"):
            try await map(call, channel, outbound, machineKey: machineKey)
        case (.POST, "/machine/register"):
            var reply: HTTPReply?
            do {
                reply = try await register(call, channel, machineKey: machineKey, remoteAddress: remoteAddress)
            } catch {
                // Without an answer the client would take the connection for broken, and come back at once.
                logger.error("registration failed", metadata: ["error": "\(error)"])
                reply = .text(.internalServerError, "internal error\n")
            }
            if let reply { try await Self.send(reply, outbound) }
        case (_, let path) where path.hasPrefix(CoordinationConstants.questionPath):
            try await Self.send(await takeAnswer(call, machineKey: machineKey), to: call.head.method, outbound)
        default:
            try await Self.send(try Self.other(call), to: call.head.method, outbound)
        }
    }

    private func takeAnswer(_ call: HTTPCall, machineKey: MachinePublicKey) async -> HTTPReply {
        guard call.head.method == .HEAD || call.head.method == .POST else { return .methodNotAllowed("HEAD, POST") }
        let isAnswer = await registry.takeAnswer(
            String(call.path.dropFirst(CoordinationConstants.questionPath.count)),
            isHead: call.head.method == .HEAD,
            body: call.body,
            from: machineKey
        )
        guard isAnswer else { return .text(.notFound, "not found\n") }
        return .empty(call.head.method == .HEAD ? .ok : .noContent)
    }

    private static func send(_ reply: HTTPReply, to method: HTTPMethod = .POST, _ outbound: Outbound) async throws {
        try await outbound.write(.head(reply.head(version: .http2)))
        if reply.body.readableBytes > 0, method != .HEAD { try await outbound.write(.body(.byteBuffer(reply.body))) }
        try await outbound.write(.end(nil))
    }

    private static func decode<T: Decodable>(_ type: T.Type, _ body: ByteBuffer) -> T? {
        // The client learns that it is not JSON; which member was wrong is of no use to it.
        try? JSONDecoder().decode(type, from: Data(body.readableBytesView))
    }

    /// The answer to a register request; nil when the client went away while it waited.
    private func register(
        _ call: HTTPCall,
        _ channel: any Channel,
        machineKey: MachinePublicKey,
        remoteAddress: String?
    ) async throws -> HTTPReply? {
        guard let request = Self.decode(RegisterRequest.self, call.body) else {
            return .text(.badRequest, "invalid register request\n")
        }
        var answer = try await registry.register(request, from: machineKey, remoteAddress: remoteAddress)
        while true {
            switch answer {
            case .respond(let response): return try .json(response)
            case .tooMany(let seconds):
                return .tooManyRequests("too many registrations\n", after: seconds)
            case .wait(let waiter):
                channel.closeFuture.whenComplete { _ in waiter.cancel() }
                var outcome: LoginOutcome?
                for await value in waiter.outcome { outcome = value }
                let next = try await registry.finish(
                    waiter,
                    outcome,
                    request: request,
                    from: machineKey,
                    remoteAddress: remoteAddress
                )
                guard let next else { return nil }
                answer = next
            }
        }
    }

    private func map(
        _ call: HTTPCall,
        _ channel: any Channel,
        _ outbound: Outbound,
        machineKey: MachinePublicKey
    ) async throws {
        guard let request = Self.decode(MapRequest.self, call.body),
            let compression = MapCompression(rawValue: request.compress)
        else { return try await Self.send(.text(.badRequest, "invalid map request\n"), outbound) }
        do throws(MapRefusal) {
            switch (request.stream, request.omitPeers) {
            case (true, _):
                let subscription = try await registry.openStream(request, from: machineKey) {
                    channel.close(promise: nil)
                }
                channel.closeFuture.whenComplete { _ in subscription.cancel() }
                try? await write(subscription, compression, outbound)
                await registry.closeStream(subscription.id)
            case (false, true):
                try await registry.update(request, from: machineKey)
                try? await Self.send(.empty(.ok), outbound)
            case (false, false):
                let response = try await registry.fetch(request, from: machineKey)
                guard let frame = try? packer.pack(response, compression) else { return }
                try? await Self.send(HTTPReply(status: .ok, body: frame), outbound)
            }
        } catch {
            let reply: HTTPReply =
                switch error {
                case .nodeNotFound: .text(.notFound, "node not found")
                case .unsupportedVersion(let text): .text(.badRequest, text)
                }
            try await Self.send(reply, outbound)
        }
    }

    /// Writes a stream until the registry ends it or the client is gone.
    private func write(
        _ subscription: MapSubscription,
        _ compression: MapCompression,
        _ outbound: Outbound
    ) async throws {
        let head = HTTPResponseHead(version: .http2, status: .ok, headers: ["content-type": "application/json"])
        try await outbound.write(.head(head))
        for await _ in subscription.wakeups {
            var isWaiting = false
            while !isWaiting {
                switch await registry.work(for: subscription.id) {
                case .wait: isWaiting = true
                case .keepAlive: try await outbound.write(.body(.byteBuffer(packer.keepAlive(compression))))
                case .write(let messages):
                    for message in messages {
                        try await outbound.write(.body(.byteBuffer(try packer.pack(message, compression))))
                    }
                case .end(let messages):
                    for message in messages {
                        try await outbound.write(.body(.byteBuffer(try packer.pack(message, compression))))
                    }
                    try await outbound.write(.end(nil))
                    return
                }
            }
        }
    }

    /// Everything else that stock clients ask for; never a reason to close the connection.
    private static func other(_ call: HTTPCall) throws -> HTTPReply {
        switch (call.head.method, call.path) {
        case (.POST, "/machine/feature/query"):
            struct Answer: Encodable {
                let Complete = false
                let Text = "HTTPS certificates are not available on this network."
            }
            return try .json(Answer())
        case (.POST, "/machine/update-health"): return .empty(.noContent)
        case (.GET, "/machine/whoami"): return .text(.ok, "a machine of this network\n")
        default: return .text(.notImplemented, "not implemented\n")
        }
    }
}
