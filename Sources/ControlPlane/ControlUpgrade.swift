import FoundationEssentials
import NIOCore
package import NIOHTTP1

/// The HTTP/1.1 upgrade that carries the initiation.
package enum ControlUpgrade {
    /// The client's request.
    package static func requestHead(url: ControlURL, initiation: [UInt8], userAgent: String) -> HTTPRequestHead {
        var headers = HTTPHeaders()
        headers.add(name: "Host", value: url.authority)
        headers.add(name: "User-Agent", value: userAgent)
        headers.add(name: "Content-Length", value: "0")
        headers.add(name: "Connection", value: "upgrade")
        headers.add(name: "Upgrade", value: ControlConstants.upgradeToken)
        headers.add(name: ControlConstants.handshakeHeader, value: Data(initiation).base64EncodedString())
        let path = url.pathPrefix + ControlConstants.upgradePath
        return HTTPRequestHead(version: .http1_1, method: .POST, uri: path, headers: headers)
    }

    /// Whether a reply lets the Noise stream begin.
    package static func accepts(_ head: HTTPResponseHead) -> Bool {
        head.status == .switchingProtocols && head.headers["Upgrade"] == [ControlConstants.upgradeToken]
    }

    /// The initiation out of a client's request, or why it is answered with 400.
    package static func initiation(in head: HTTPRequestHead) -> Result<[UInt8], ControlUpgradeRefusal> {
        guard let token = head.headers.first(name: "Upgrade") else { return .failure(.missingProtocol) }
        guard token.lowercased() == ControlConstants.upgradeToken else { return .failure(.unknownProtocol) }
        return initiation(inBase64: head.headers.first(name: ControlConstants.handshakeHeader))
    }

    /// The initiation out of the query of a WebSocket request, or why it is answered with 400.
    package static func initiation(inQueryOf head: HTTPRequestHead) -> Result<[UInt8], ControlUpgradeRefusal> {
        // A plus sign in a query stands for a space: whoever leaves it unescaped sends no base64.
        let items = URLComponents(string: head.uri.replacing("+", with: "%20"))?.queryItems ?? []
        let text = items.first { $0.name == ControlConstants.handshakeHeader }?.value
        return initiation(inBase64: text)
    }

    /// Path and query of the WebSocket request; `+`, `/` and `=` of base64 would mean something else there.
    package static func webSocketURI(url: ControlURL, initiation: [UInt8]) -> String {
        let text = Data(initiation).base64EncodedString()
            .replacing("+", with: "%2B").replacing("/", with: "%2F").replacing("=", with: "%3D")
        return "\(url.pathPrefix)\(ControlConstants.upgradePath)?\(ControlConstants.handshakeHeader)=\(text)"
    }

    private static func initiation(inBase64 text: String?) -> Result<[UInt8], ControlUpgradeRefusal> {
        guard let text else { return .failure(.missingHandshake) }
        guard let data = Data(base64Encoded: text), data.count == ControlConstants.initiationByteCount else {
            return .failure(.invalidHandshake)
        }
        return .success([UInt8](data))
    }
}

/// Why an upgrade request is answered with status 400; the raw value is the body.
package enum ControlUpgradeRefusal: String, Error, Sendable {
    /// No `Upgrade` header.
    case missingProtocol = "missing next protocol"
    /// An `Upgrade` header for something else.
    case unknownProtocol = "unknown next protocol"
    /// No handshake header.
    case missingHandshake = "missing Tailscale handshake header"
    /// A handshake header that is not base64 of 101 octets.
    case invalidHandshake = "invalid Tailscale handshake header"
}
