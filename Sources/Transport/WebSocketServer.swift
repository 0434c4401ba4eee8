package import NIOCore
package import NIOHTTP1
package import NIOWebSocket

/// A path at which a server offers a byte stream over WebSocket.
package struct WebSocketRoute: Equatable, Sendable {
    /// The path, without a query.
    package let path: String
    /// The subprotocol that a client has to offer and that is selected.
    package let subprotocol: String
    /// How large messages may be.
    package let limits: WebSocketLimits

    /// A route; the path begins with a slash.
    package init(path: String, subprotocol: String, limits: WebSocketLimits) {
        self.path = path
        self.subprotocol = subprotocol
        self.limits = limits
    }

    /// Whether a request asks for this path.
    package func matches(_ head: HTTPRequestHead) -> Bool {
        head.uri.prefix { $0 != "?" } == path
    }

    /// Whether a request offers the subprotocol, by itself or among others.
    package func isOffered(by head: HTTPRequestHead) -> Bool {
        head.headers[canonicalForm: "Sec-WebSocket-Protocol"].contains { $0 == subprotocol }
    }
}

/// The server's side of the WebSocket upgrade.
package enum WebSocketServer {
    /// An upgrader for NIO's typed HTTP upgrade that turns connections to one of `routes` into byte streams.
    ///
    /// Any origin is welcome and no extension is ever selected. A request for another path, or one that `accepts` turns away, is not
    /// upgraded and falls through to the ordinary routes. A client that does not offer the route's subprotocol is upgraded and told so by
    /// status 1008; `upgraded` never sees it. In `upgraded` the channel speaks `ByteBuffer` both ways, as after a raw upgrade.
    package static func upgrader<Result: Sendable>(
        routes: [WebSocketRoute],
        accepts: @escaping @Sendable (HTTPRequestHead, WebSocketRoute) -> Bool = { _, _ in true },
        upgraded: @escaping @Sendable (any Channel, HTTPRequestHead, WebSocketRoute) -> EventLoopFuture<Result>
    ) -> NIOTypedWebSocketServerUpgrader<Result> {
        NIOTypedWebSocketServerUpgrader(
            // What is larger than its own route allows is refused by the byte stream, with the same status.
            maxFrameSize: routes.map(\.limits.incomingByteCount).max() ?? 0,
            enableAutomaticErrorHandling: false,
            shouldUpgrade: { channel, head in
                guard let route = routes.first(where: { $0.matches(head) }), accepts(head, route) else {
                    return channel.eventLoop.makeSucceededFuture(nil)
                }
                var headers = HTTPHeaders()
                if route.isOffered(by: head) { headers.add(name: "Sec-WebSocket-Protocol", value: route.subprotocol) }
                return channel.eventLoop.makeSucceededFuture(headers)
            },
            upgradePipelineHandler: { channel, head in
                guard let route = routes.first(where: { $0.matches(head) }) else {
                    return channel.eventLoop.makeFailedFuture(TransportError.webSocketViolation)
                }
                let isOffered = route.isOffered(by: head)
                let stream = WebSocketByteStream(
                    role: .server,
                    limits: route.limits,
                    refusal: isOffered ? nil : .policyViolation
                )
                do { try channel.pipeline.syncOperations.addHandler(stream) } catch {
                    return channel.eventLoop.makeFailedFuture(error)
                }
                guard isOffered else { return channel.eventLoop.makeFailedFuture(TransportError.webSocketViolation) }
                return upgraded(channel, head, route)
            }
        )
    }
}
