/// What a byte stream to a server may be carried by.
package enum StreamTransport: String, Hashable, Sendable, CaseIterable {
    /// A raw HTTP upgrade, and WebSocket where something on the way answers that otherwise.
    case auto
    /// WebSocket only, as clients in a browser do.
    case webSocket = "websocket"
}
