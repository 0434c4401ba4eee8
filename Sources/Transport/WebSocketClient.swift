import Crypto
import FoundationEssentials
package import NIOCore
import NIOHTTP1
import NIOWebSocket

/// The client's side of the WebSocket upgrade (RFC 6455 §4.1).
package enum WebSocketClient {
    /// Upgrades a connection and puts a byte stream on it; on the channel's event loop.
    ///
    /// `uri` is path and query, `authority` the `Host` header. A server that selects another subprotocol than the one that is offered is
    /// refused. `install` adds the handlers behind the stream, as `HTTPHandover.run` says.
    package static func upgrade(
        _ channel: any Channel,
        uri: String,
        authority: String,
        subprotocol: String,
        limits: WebSocketLimits,
        install: @escaping (any Channel) throws -> Void
    ) -> EventLoopFuture<Void> {
        let key = Data((0..<16).map { _ in UInt8.random(in: 0...255) }).base64EncodedString()
        let head = HTTPRequestHead(
            version: .http1_1,
            method: .GET,
            uri: uri,
            headers: [
                "Host": authority, "User-Agent": "warren", "Upgrade": "websocket", "Connection": "Upgrade",
                "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": key, "Sec-WebSocket-Protocol": subprotocol,
            ]
        )
        return HTTPHandover.run(head, on: channel) { reply throws(TransportError) in
            guard reply.status == .switchingProtocols,
                reply.headers["Upgrade"].map({ $0.lowercased() }) == ["websocket"]
            else { throw .upgradeRefused(status: Int(reply.status.code)) }
            // No extension was offered, so none may be selected.
            guard reply.headers["Sec-WebSocket-Accept"] == [accept(forKey: key)],
                reply.headers["Sec-WebSocket-Protocol"] == [subprotocol],
                !reply.headers.contains(name: "Sec-WebSocket-Extensions")
            else { throw .webSocketViolation }
        } install: { channel in
            try channel.pipeline.syncOperations.addHandlers([
                WebSocketFrameEncoder(),
                ByteToMessageHandler(WebSocketFrameDecoder(maxFrameSize: limits.incomingByteCount)),
                WebSocketByteStream(role: .client, limits: limits),
            ])
            try install(channel)
        }
    }

    /// What a server answers to a key; SHA-1 is what the protocol says, and nothing rests on it.
    private static func accept(forKey key: String) -> String {
        let digest = Insecure.SHA1.hash(data: Data((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").utf8))
        return Data(digest).base64EncodedString()
    }
}
