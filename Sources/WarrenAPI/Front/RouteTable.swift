import HTTPTypes

/// Finds the route of a request.
///
/// Unlike Hummingbird's router it knows a wrong method from a wrong path, and takes no trailing slash for none.
struct RouteTable: Sendable {
    /// All routes.
    let routes: [APIRoute]
    private let patterns: [[Substring]]

    init(_ routes: [APIRoute]) {
        self.routes = routes
        patterns = routes.map { Self.segments($0.path[...]) }
    }

    /// What a path leads to.
    enum Match {
        /// A route, and what stands for the braces in its path.
        case route(APIRoute, parameters: [String: String])
        /// Only these methods are served at the path.
        case otherMethods([HTTPRequest.Method])
        /// Nothing is served at the path.
        case nothing
    }

    /// Finds what is served for a method at a path.
    func match(_ method: HTTPRequest.Method, _ path: Substring) -> Match {
        let segments = Self.segments(path)
        var others: [HTTPRequest.Method] = []
        for (route, pattern) in zip(routes, patterns) {
            guard let parameters = Self.parameters(segments, pattern) else { continue }
            if route.method == method || (method == .head && route.method == .get) {
                return .route(route, parameters: parameters)
            }
            others.append(route.method)
            if route.method == .get { others.append(.head) }
        }
        return others.isEmpty ? .nothing : .otherMethods(others)
    }

    private static func segments(_ path: Substring) -> [Substring] {
        path.split(separator: "/", omittingEmptySubsequences: false)
    }

    private static func parameters(_ segments: [Substring], _ pattern: [Substring]) -> [String: String]? {
        guard segments.count == pattern.count else { return nil }
        var parameters: [String: String] = [:]
        for (segment, expected) in zip(segments, pattern) {
            if expected.hasPrefix("{") {
                guard let value = PercentEncoding.decoded(segment), !value.isEmpty else { return nil }
                parameters[String(expected.dropFirst().dropLast())] = value
            } else if segment != expected {
                return nil
            }
        }
        return parameters
    }
}

/// Percent-encoding of URLs (RFC 3986 §2.1).
enum PercentEncoding {
    /// The text behind an encoded one; nil for a broken escape or octets that are no UTF-8.
    static func decoded(_ text: Substring, plusIsBlank: Bool = false) -> String? {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            switch byte {
            case UInt8(ascii: "%"):
                guard let high = rest.popFirst().flatMap(digit), let low = rest.popFirst().flatMap(digit) else {
                    return nil
                }
                bytes.append(high << 4 | low)
            case UInt8(ascii: "+") where plusIsBlank: bytes.append(UInt8(ascii: " "))
            default: bytes.append(byte)
            }
        }
        return String(validating: bytes, as: UTF8.self)
    }

    private static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 0x30...0x39: byte - 0x30
        case 0x41...0x46: byte - 0x41 + 10
        case 0x61...0x66: byte - 0x61 + 10
        default: nil
        }
    }
}
