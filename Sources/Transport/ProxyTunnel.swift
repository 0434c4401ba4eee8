import NIOCore
import NIOHTTP1
import NIOSSL
import NetTypes

/// Asks an HTTP proxy for a tunnel (RFC 9110 §9.3.6).
enum ProxyTunnel {
    /// Sends `CONNECT` on a connection to the proxy; afterwards the channel is one to the target.
    ///
    /// On the channel's event loop.
    static func open(to target: DialTarget, through proxy: HTTPProxy, on channel: any Channel) -> EventLoopFuture<Void>
    {
        let name = target.host.contains(":") ? "[\(target.host)]" : target.host
        let authority = "\(name):\(target.port)"
        var headers = HTTPHeaders([("Host", authority), ("User-Agent", "warren")])
        if let authorization = proxy.authorization { headers.add(name: "Proxy-Authorization", value: authorization) }
        let head = HTTPRequestHead(version: .http1_1, method: .CONNECT, uri: authority, headers: headers)
        do {
            if proxy.isTLS {
                let tls = try ClientTLS.handler(ClientTLS.context(.makeClientConfiguration()), host: proxy.host)
                try channel.pipeline.syncOperations.addHandler(tls)
            }
        } catch {
            return channel.eventLoop.makeFailedFuture(TransportError.tlsFailed)
        }
        return HTTPHandover.run(head, on: channel) { reply throws(TransportError) in
            guard (200..<300).contains(reply.status.code) else {
                throw .proxyRefused(proxy.name, status: Int(reply.status.code))
            }
        } install: { _ in
        }
        .flatMapErrorThrowing { error in
            switch error {
            case TransportError.proxyRefused: throw error
            default: throw TransportError.proxyUnreachable(proxy.name)
            }
        }
    }
}
