package import NIOCore
import NIOEmbedded
import NIOHTTP1
package import NetTypes
package import Tailcfg

/// What a `PingRequest` asks for, decided without touching the network.
package enum ControlPing: Equatable, Sendable {
    /// Nothing to do.
    case ignore
    /// A `HEAD` of `url`, over the Noise connection when `isNoise`.
    case head(url: String, isNoise: Bool)
    /// A `POST` of a serialised HTTP response to `path`, over the Noise connection.
    case post(path: String, body: ByteBuffer)
    /// Probes of a peer, each answered by a `POST` of a `PingResponse` to `url`.
    case probe(url: String, isNoise: Bool, kinds: [ProbeKind], address: IPAddress)

    /// The ways to probe a peer.
    package enum ProbeKind: String, Sendable, CaseIterable {
        /// A disco ping.
        case disco
        /// A TSMP ping inside the tunnel.
        case tsmp = "TSMP"
        /// An ICMP echo inside the tunnel.
        case icmp = "ICMP"
        /// A connection to the peer's API.
        case peerapi
    }

    /// Reads a request.
    package init(_ request: PingRequest) {
        guard !request.url.isEmpty else {
            self = .ignore
            return
        }
        switch request.types {
        case "":
            self = .head(url: request.url, isNoise: request.urlIsNoise)
        case "c2n":
            guard let path = Self.path(of: request.url), let answer = Self.answer(toRequest: request.payload) else {
                self = .ignore
                return
            }
            self = .post(path: path, body: answer)
        default:
            let kinds = request.typeList.compactMap { ProbeKind(rawValue: String($0)) }
            guard let address = request.ip, !kinds.isEmpty else {
                self = .ignore
                return
            }
            self = .probe(url: request.url, isNoise: request.urlIsNoise, kinds: kinds, address: address)
        }
    }

    /// Path and query of an absolute URL; the server chose it, so nothing that could split a request passes.
    package static func path(of url: String) -> String? {
        guard let scheme = url.firstRange(of: "://"), !url.utf8.contains(where: { $0 <= 0x20 || $0 >= 0x7F }) else {
            return nil
        }
        let rest = url[scheme.upperBound...].prefix { $0 != "#" }
        guard let slash = rest.firstIndex(where: { $0 == "/" || $0 == "?" }) else { return "/" }
        let path = rest[slash...]
        return path.hasPrefix("/") ? String(path) : "/" + path
    }

    /// The answer of the local handler to a serialised HTTP/1 request; nil when it is none.
    ///
    /// The handler knows `/echo`; every other path gets what a build without it answers.
    static func answer(toRequest payload: [UInt8]) -> ByteBuffer? {
        guard let (head, body) = parse(payload) else { return nil }
        var answer = ByteBuffer()
        if head.uri.prefix(while: { $0 != "?" }) == "/echo" {
            answer.writeString("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: \(contentType(of: body))\r\n\r\n")
            answer.writeImmutableBuffer(body)
        } else {
            answer.writeString(
                "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\n"
                    + "X-Content-Type-Options: nosniff\r\n\r\nunknown c2n path\n"
            )
        }
        return answer
    }

    /// Runs NIO's request decoder over bytes in memory.
    private static func parse(_ payload: [UInt8]) -> (HTTPRequestHead, ByteBuffer)? {
        do {
            let channel = EmbeddedChannel(handler: ByteToMessageHandler(HTTPRequestDecoder()))
            // Tearing down a channel in memory can only report what was left over.
            defer { _ = try? channel.finish(acceptAlreadyClosed: true) }
            try channel.writeInbound(ByteBuffer(bytes: payload))
            guard case .head(let head)? = try channel.readInbound(as: HTTPServerRequestPart.self) else { return nil }
            var body = ByteBuffer()
            while let part = try channel.readInbound(as: HTTPServerRequestPart.self) {
                switch part {
                case .body(var chunk): body.writeBuffer(&chunk)
                case .end: return (head, body)
                case .head: return nil
                }
            }
            return nil
        } catch { return nil }
    }

    /// Text, unless it holds an octet that text never holds (WHATWG MIME sniffing, "binary data byte").
    private static func contentType(of body: ByteBuffer) -> String {
        let isBinary = body.readableBytesView.prefix(512).contains { octet in
            octet <= 0x08 || octet == 0x0B || (0x0E...0x1A).contains(octet) || (0x1C...0x1F).contains(octet)
        }
        return isBinary ? "application/octet-stream" : "text/plain; charset=utf-8"
    }
}
