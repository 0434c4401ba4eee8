import HTTPTypes
package import Hummingbird
package import Logging
import NIOCore
import NIOHTTPTypes
import ServiceLifecycle
package import Store
import WarrenModel

/// The front desk: what holds for every request, before and after its route.
///
/// It answers everything itself, failures too, as RFC 9457 problems; nothing is thrown at the server beneath.
package struct APIFront: HTTPResponder {
    package typealias Context = BasicRequestContext

    /// How a request came.
    package enum Listener: Sendable {
        /// By TCP, where a token is needed.
        case tcp
        /// By the Unix socket, where the file's mode is the check.
        case unixSocket
    }

    private let table: RouteTable
    private let listener: Listener
    private let database: WarrenDatabase

    /// Serves `router` at one listener.
    package init(router: APIRouter, listener: Listener, database: WarrenDatabase) {
        table = RouteTable(router.routes)
        self.listener = listener
        self.database = database
    }

    package func respond(to request: Request, context: BasicRequestContext) async -> Response {
        await respond(to: request, logger: context.logger)
    }

    /// Answers a request.
    package func respond(to request: Request, logger: Logger) async -> Response {
        let start = ContinuousClock.now
        let requestID = RequestID.taken(from: request.headers) ?? RequestID.made()
        var logger = logger
        logger[metadataKey: "hb.request.id"] = nil
        logger[metadataKey: "request-id"] = .string(requestID)
        let target = Target(request.head.path ?? "/")
        var response: Response
        do {
            response = try await answer(request, target, requestID, logger)
        } catch {
            let problem = APIProblem(error)
            if problem.kind == .internalError {
                logger.error("request failed", metadata: ["error": "\(error)", "path": "\(target.path)"])
            }
            response = Self.response(problem, target, requestID)
        }
        response.headers[.requestID] = requestID
        response.headers[.xContentTypeOptions] = "nosniff"
        if response.headers[.cacheControl] == nil { response.headers[.cacheControl] = "no-store" }
        if request.method == .head { response = response.createHeadResponse() }
        let duration = ContinuousClock.now - start
        logger.log(
            level: Self.level(request.method, response.status),
            "request answered",
            metadata: [
                "method": "\(request.method.rawValue)", "path": "\(target.path)", "status": "\(response.status.code)",
                "duration-ms": "\(duration.wholeMilliseconds)",
            ]
        )
        return response
    }

    private func answer(
        _ request: Request,
        _ target: Target,
        _ requestID: String,
        _ logger: Logger
    ) async throws -> Response {
        try APILimits.check(request.head)
        let match = table.match(request.method, target.path)
        let principal = try await principal(of: request, for: match)
        let (route, parameters) = try Self.route(match, request.method, target)
        guard !Task.isShuttingDownGracefully || route.access == .open else {
            throw APIProblem(.shuttingDown, "The daemon is shutting down.")
        }
        guard let mediaType = Accept.choose(request.headers[.accept], from: route.produces) else {
            throw APIProblem(.notAcceptable, "This path answers with \(route.produces.joined(separator: " or ")).")
        }
        let bytes = try await APILimits.body(of: request)
        let call = APICall(
            head: request.head,
            requestID: requestID,
            parameters: parameters,
            principal: principal,
            mediaType: mediaType,
            body: try Self.json(bytes, request.headers, route),
            query: target.query,
            logger: logger
        )
        var answer = try await Idempotency(database: database).answer(route, call, path: target.path, body: bytes)
        if request.method == .get || request.method == .head, let tag = answer.headers[.eTag],
            let field = request.headers[.ifNoneMatch], EntityTag.matches(field, tag)
        {
            answer.status = .notModified
            answer.headers[.contentType] = nil
            answer.body = .bytes([])
        }
        return Self.response(answer)
    }

    /// Who asks; whoever may not is told nothing about what is served.
    private func principal(of request: Request, for match: RouteTable.Match) async throws -> Principal? {
        if case .route(let route, _) = match, route.access == .open { return nil }
        let principal: Principal
        switch listener {
        case .unixSocket: principal = .unixSocket
        case .tcp: principal = try await Authenticator(database: database).principal(request.headers[.authorization])
        }
        if case .route(let route, _) = match, case .scope(let scope) = route.access, !principal.allows(scope) {
            throw APIProblem(.forbidden, "The scope \(scope.rawValue) is needed.")
        }
        return principal
    }

    private static func route(
        _ match: RouteTable.Match,
        _ method: HTTPRequest.Method,
        _ target: Target
    ) throws(APIProblem) -> (APIRoute, [String: String]) {
        switch match {
        case .route(let route, let parameters): return (route, parameters)
        case .otherMethods(let methods):
            let allowed = Set(methods.map(\.rawValue)).sorted().joined(separator: ", ")
            throw APIProblem(
                .methodNotAllowed,
                "\(method.rawValue) is not among \(allowed).",
                headers: [.allow: allowed]
            )
        case .nothing: throw APIProblem(.notFound, "Nothing is served at \(target.path.prefix(200)).")
        }
    }

    private static func json(_ bytes: [UInt8], _ headers: HTTPFields, _ route: APIRoute) throws -> JSONTree {
        guard !bytes.isEmpty else { return .object([:]) }
        guard route.takesBody else {
            // An empty object says nothing either; clients that always send JSON are not turned away for it.
            guard route.method == .post, try JSONTree(parsing: bytes) == .object([:]) else {
                throw APIProblem(.invalidParameter, "This request takes no body.")
            }
            return .object([:])
        }
        let type = headers[.contentType]?.prefix { $0 != ";" && $0 != " " }.lowercased()
        // A PATCH is a merge patch (RFC 7396) under either name.
        guard type == "application/json" || (route.method == .patch && type == "application/merge-patch+json") else {
            let found = headers[.contentType].map { "not \($0.prefix(100))" } ?? "and Content-Type says so"
            throw APIProblem(
                .unsupportedMediaType,
                "The body must be application/json, \(found).",
                headers: [.accept: "application/json"]
            )
        }
        return try JSONTree(parsing: bytes)
    }

    private static func response(_ answer: APIAnswer) -> Response {
        switch answer.body {
        case .bytes(let bytes):
            Response(
                status: answer.status,
                headers: answer.headers,
                body: bytes.isEmpty ? ResponseBody() : ResponseBody(byteBuffer: ByteBuffer(bytes: bytes))
            )
        case .stream(let write):
            Response(
                status: answer.status,
                headers: answer.headers,
                body: ResponseBody { writer in
                    try await write(&writer)
                    try await writer.finish(nil)
                }
            )
        }
    }

    private static func response(_ problem: APIProblem, _ target: Target, _ requestID: String) -> Response {
        let body = problem.body(instance: String(target.path.prefix(1024)), requestID: requestID)
        // A problem is made of strings and numbers; there is nothing in it that could not be written.
        let bytes = (try? ModelJSON.bytes(body)) ?? Array("{}".utf8)
        var headers = problem.headers
        headers[.contentType] = Problem.mediaType
        return Response(
            status: HTTPResponse.Status(code: problem.kind.status),
            headers: headers,
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: bytes + [10]))
        )
    }

    // What a person did is worth a line; what a dashboard polls is not.
    private static func level(_ method: HTTPRequest.Method, _ status: HTTPResponse.Status) -> Logger.Level {
        status.code >= 500 ? .warning : method == .get || method == .head ? .debug : .info
    }
}

/// The target of a request, taken apart.
struct Target {
    let path: Substring
    let query: Substring?

    init(_ text: String) {
        let end = text.firstIndex(of: "?")
        path = text[..<(end ?? text.endIndex)]
        query = end.map { text[text.index(after: $0)...] }
    }
}
