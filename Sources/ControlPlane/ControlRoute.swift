import NetTypes
import Transport

/// One way to a control server's `/ts2021`.
struct ControlRoute: Hashable, Sendable {
    /// What carries the Noise stream.
    enum Carrier: Hashable, Sendable {
        /// The upgrade of a `POST`.
        case raw
        /// Messages of a WebSocket.
        case webSocket
    }

    /// The TCP port.
    var port: Int
    /// Whether TLS is around it; without it Noise alone secures the stream.
    var isTLS: Bool
    /// What carries the Noise stream.
    var carrier: Carrier
    /// Whether the URL does not name this port: whatever answers there says nothing about the server.
    var isGuess: Bool
}

extension ControlURL {
    /// The raw routes in the order to start them: clear text gets through where TLS is slow, TLS where port 80 leads elsewhere.
    func rawRoutes(_ ports: ControlConfiguration.StandardPorts, skipsClearText: Bool) -> [ControlRoute] {
        let clear = ControlRoute(port: isTLS ? ports.clearText : port, isTLS: false, carrier: .raw, isGuess: isTLS)
        let secure = ControlRoute(port: isTLS ? port : ports.tls, isTLS: true, carrier: .raw, isGuess: !isTLS)
        if isTLS { return skipsClearText ? [secure] : [clear, secure] }
        // A server at home has no certificate.
        return isNearby ? [clear] : [clear, secure]
    }

    /// The one route by WebSocket: in TLS, unless the URL names a port for clear text.
    func webSocketRoute(_ ports: ControlConfiguration.StandardPorts) -> ControlRoute {
        if isTLS { return ControlRoute(port: port, isTLS: true, carrier: .webSocket, isGuess: false) }
        let isNamed = port != 80 || isNearby
        return ControlRoute(
            port: isNamed ? port : ports.tls,
            isTLS: !isNamed,
            carrier: .webSocket,
            isGuess: false
        )
    }

    /// Whether the host is `localhost` or a loopback or private literal.
    private var isNearby: Bool { isLocal || IPAddress(host)?.isPrivate == true }
}
