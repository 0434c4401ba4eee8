import FoundationEssentials
import NIOCore
import NIOHTTP1

/// A request as the routes see it, body and all.
struct HTTPCall: Sendable {
    let head: HTTPRequestHead
    let body: ByteBuffer

    /// The path without its query.
    var path: Substring { head.uri.prefix { $0 != "?" } }

    /// The first value of a query parameter, undecoded.
    func query(_ name: String) -> String? {
        guard let mark = head.uri.firstIndex(of: "?") else { return nil }
        for pair in head.uri[head.uri.index(after: mark)...].split(separator: "&") {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            if parts[0] == name { return parts.count == 2 ? String(parts[1]) : "" }
        }
        return nil
    }
}

/// An answer with a body that is ready.
struct HTTPReply: Sendable {
    var status: HTTPResponseStatus
    var headers = HTTPHeaders()
    var body = ByteBuffer()

    /// A line of text.
    static func text(_ status: HTTPResponseStatus, _ text: String) -> HTTPReply {
        HTTPReply(
            status: status,
            headers: ["content-type": "text/plain; charset=utf-8", "x-content-type-options": "nosniff"],
            body: ByteBuffer(string: text)
        )
    }

    /// A JSON document.
    static func json(_ value: some Encodable, status: HTTPResponseStatus = .ok) throws -> HTTPReply {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .withoutEscapingSlashes
        let data = try encoder.encode(value)
        return HTTPReply(
            status: status,
            headers: ["content-type": "application/json"],
            body: ByteBuffer(bytes: data)
        )
    }

    /// Status 405, and what is allowed instead.
    static func methodNotAllowed(_ methods: String) -> HTTPReply {
        var reply = text(.methodNotAllowed, "method not allowed\n")
        reply.headers.add(name: "allow", value: methods)
        return reply
    }

    /// Status 429, and when to come back.
    static func tooManyRequests(_ text: String, after seconds: Int) -> HTTPReply {
        var reply = self.text(.tooManyRequests, text)
        reply.headers.add(name: "retry-after", value: String(seconds))
        return reply
    }

    /// No body.
    static func empty(_ status: HTTPResponseStatus) -> HTTPReply { HTTPReply(status: status) }

    /// Head with the length set.
    func head(version: HTTPVersion) -> HTTPResponseHead {
        var headers = headers
        // A 204 has no body whose length could be told.
        guard status != .noContent else { return HTTPResponseHead(version: version, status: status, headers: headers) }
        headers.replaceOrAdd(name: "content-length", value: String(body.readableBytes))
        return HTTPResponseHead(version: version, status: status, headers: headers)
    }
}

/// Why a request could not be read.
enum HTTPCallFailure: Error, Equatable {
    /// The body is beyond the limit: 413.
    case bodyTooLarge
    /// An `Upgrade` that nobody here serves: 400. NIO keeps the head of such a request to itself.
    case upgradeRefused
    /// The stream ended inside the request.
    case incomplete
}

/// Reads whole requests off a stream of parts.
struct HTTPCallReader<Parts: AsyncIteratorProtocol> where Parts.Element == HTTPServerRequestPart {
    private var parts: Parts
    private let limit: Int

    init(_ parts: Parts, limit: Int) {
        self.parts = parts
        self.limit = limit
    }

    /// The next request, or nil at the end of the connection.
    mutating func next() async throws -> HTTPCall? {
        guard let first = try await parts.next(isolation: #isolation) else { return nil }
        guard case .head(let head) = first else { throw HTTPCallFailure.upgradeRefused }
        var body = ByteBuffer()
        while let part = try await parts.next(isolation: #isolation) {
            switch part {
            case .head: throw HTTPCallFailure.incomplete
            case .body(var chunk):
                guard body.readableBytes + chunk.readableBytes <= limit else { throw HTTPCallFailure.bodyTooLarge }
                body.writeBuffer(&chunk)
            case .end: return HTTPCall(head: head, body: body)
            }
        }
        throw HTTPCallFailure.incomplete
    }
}
