import HTTPTypes
import Hummingbird
import NIOCore
import WarrenCrypto
import WarrenModel

/// What a route answers.
struct APIAnswer: Sendable {
    /// The status.
    var status: HTTPResponse.Status
    /// The header fields, beside those of every answer.
    var headers: HTTPFields
    /// What follows them.
    var body: Body

    /// What the answer consists of.
    enum Body: Sendable {
        /// Octets that are there already.
        case bytes([UInt8])
        /// Octets that come as things happen.
        case stream(@concurrent @Sendable (inout any ResponseBodyWriter) async throws -> Void)
    }

    /// Octets of a media type.
    init(_ status: HTTPResponse.Status, bytes: [UInt8], type: String, headers: HTTPFields = [:]) {
        self.status = status
        self.headers = headers
        self.headers[.contentType] = type
        body = .bytes(bytes)
    }

    /// A document.
    init(_ status: HTTPResponse.Status = .ok, json value: some Encodable, headers: HTTPFields = [:]) throws {
        self.init(status, bytes: try ModelJSON.bytes(value) + [10], type: "application/json", headers: headers)
    }

    /// Nothing but a status.
    static let noContent = APIAnswer(status: .noContent, headers: [:], body: .bytes([]))

    /// A stream of a media type.
    static func stream(
        type: String,
        _ write: @escaping @concurrent @Sendable (inout any ResponseBodyWriter) async throws -> Void
    ) -> APIAnswer {
        APIAnswer(status: .ok, headers: [.contentType: type], body: .stream(write))
    }

    private init(status: HTTPResponse.Status, headers: HTTPFields, body: Body) {
        self.status = status
        self.headers = headers
        self.body = body
    }

    /// The same with an entity tag.
    func tagged(_ tag: String) -> APIAnswer {
        var copy = self
        copy.headers[.eTag] = tag
        return copy
    }

    /// The same with a weak tag made of the body, for cheap polling of lists.
    func taggedByContent() -> APIAnswer {
        guard case .bytes(let bytes) = body else { return self }
        let digest = SHA256.hash(bytes.span).prefix(12).map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }
        return tagged("W/\"\(digest.joined())\"")
    }
}

/// Entity tags (RFC 9110 §8.8.3, §13.1).
enum EntityTag {
    /// Whether `If-None-Match` names the tag, compared weakly.
    static func matches(_ field: String, _ tag: String) -> Bool {
        list(field).contains { $0 == "*" || opaque($0) == opaque(tag[...]) }
    }

    /// Whether `If-Match` names the spec part of a tag: the state part moves by itself.
    static func specMatches(_ field: String, generation: Int64) -> Bool {
        list(field).contains { tag in
            tag == "*"
                || tag.hasPrefix("\"") && opaque(tag).dropFirst().prefix { $0 != "." && $0 != "\"" } == "\(generation)"
        }
    }

    private static func list(_ field: String) -> [Substring] {
        field.split(separator: ",").map { $0.trimming { $0 == " " || $0 == "\t" } }
    }

    private static func opaque(_ tag: Substring) -> Substring { tag.hasPrefix("W/") ? tag.dropFirst(2) : tag }
}

extension Substring {
    fileprivate func trimming(_ isBlank: (Character) -> Bool) -> Substring {
        var rest = drop(while: isBlank)
        while let last = rest.last, isBlank(last) { rest.removeLast() }
        return rest
    }
}
