import Glibc
import WarrenModel

/// Where the daemon is.
enum DaemonAddress: Equatable {
    /// Its TCP listener.
    case web(WebURL)
    /// Its Unix socket.
    case unixSocket(String)

    /// Reads `http://…`, `https://…` or `unix:/path`.
    init(_ text: String) throws(CommandFailure) {
        if text.hasPrefix("unix:") {
            let path = String(text.dropFirst(text.hasPrefix("unix:///") ? 7 : 5))
            guard path.hasPrefix("/") else { throw .usage("\(text): unix: must be followed by an absolute path") }
            self = .unixSocket(path)
        } else if let url = WebURL(text), !url.target.contains("?") {
            self = .web(url)
        } else {
            throw .usage("\(text): neither http://…, https://… nor unix:/path")
        }
    }

    /// The URL of a target such as `/v1/vms?limit=5`.
    func url(_ target: String) -> String {
        switch self {
        case .web(let url):
            (url.text.hasSuffix("/") ? String(url.text.dropLast()) : url.text) + target
        case .unixSocket(let path):
            "http+unix://" + URLText.escaped(path) + target
        }
    }

    /// Whether the daemon runs on this machine, so that its admin token file may be used.
    var isLocal: Bool {
        switch self {
        case .web(let url): url.isLoopback
        case .unixSocket: true
        }
    }

    /// How messages name the place.
    var text: String {
        switch self {
        case .web(let url): url.text
        case .unixSocket(let path): path
        }
    }
}

/// Text in URLs.
enum URLText {
    /// Escapes everything but unreserved characters (RFC 3986 §2.3).
    static func escaped(_ text: String) -> String {
        var result = ""
        for byte in text.utf8 {
            switch byte {
            case 0x61...0x7A, 0x41...0x5A, 0x30...0x39, 0x2D, 0x2E, 0x5F, 0x7E:
                result.unicodeScalars.append(Unicode.Scalar(byte))
            default:
                let hex = String(byte, radix: 16, uppercase: true)
                result += "%" + (hex.count == 1 ? "0" : "") + hex
            }
        }
        return result
    }

    /// `?a=b&c=d` out of the pairs that have a value.
    static func query(_ pairs: [(String, String?)]) -> String {
        let parts = pairs.compactMap { name, value in value.map { "\(name)=\(escaped($0))" } }
        return parts.isEmpty ? "" : "?" + parts.joined(separator: "&")
    }
}
