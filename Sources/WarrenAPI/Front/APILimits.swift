import HTTPTypes
import Hummingbird
import NIOCore

/// How large a request may be.
package enum APILimits {
    /// The body, in octets.
    package static let bodyByteCount = 1 << 20
    /// The target of the request line, in octets.
    package static let urlByteCount = 8 << 10
    /// All header fields together, in octets.
    package static let headerByteCount = 16 << 10

    /// Refuses a head that is too large.
    static func check(_ head: HTTPRequest) throws(APIProblem) {
        guard (head.path?.utf8.count ?? 0) <= urlByteCount else {
            throw APIProblem(.urlTooLong, "The URL has more than \(urlByteCount) octets.")
        }
        // A field costs its name, its value, a colon, a blank and a line end.
        let size = head.headerFields.reduce(0) { $0 + $1.name.rawName.utf8.count + $1.value.utf8.count + 4 }
        guard size <= headerByteCount else {
            throw APIProblem(.headersTooLarge, "The header fields have more than \(headerByteCount) octets.")
        }
    }

    /// The body of a request, unless it is too large.
    static func body(of request: Request) async throws -> [UInt8] {
        let tooLarge = APIProblem(.bodyTooLarge, "The body has more than \(bodyByteCount) octets.")
        if let length = request.headers[.contentLength].flatMap({ Int($0) }), length > bodyByteCount { throw tooLarge }
        var bytes: [UInt8] = []
        for try await chunk in request.body {
            guard bytes.count + chunk.readableBytes <= bodyByteCount else { throw tooLarge }
            bytes += chunk.readableBytesView
        }
        return bytes
    }
}
