import HTTPTypes
import Logging
import WarrenModel

/// One request, after everything that is the same for all of them.
struct APICall: Sendable {
    /// Method, target and header fields.
    let head: HTTPRequest
    /// What the request is called in the answer and the log.
    let requestID: String
    /// What stands for the braces in the route's path.
    let parameters: [String: String]
    /// Who asks; nil at a route that is open to anyone.
    let principal: Principal?
    /// The media type the answer is to have.
    let mediaType: String
    /// The body, `{}` when there was none.
    let body: JSONTree
    /// Writes lines that carry the request's id.
    let logger: Logger
    private let rawQuery: String?

    init(
        head: HTTPRequest,
        requestID: String,
        parameters: [String: String],
        principal: Principal?,
        mediaType: String,
        body: JSONTree,
        query: Substring?,
        logger: Logger
    ) {
        self.head = head
        self.requestID = requestID
        self.parameters = parameters
        self.principal = principal
        self.mediaType = mediaType
        self.body = body
        self.logger = logger
        rawQuery = query.map(String.init)
    }

    /// Reads the query; unknown parameters are refused.
    func query<Value>(_ read: (inout QueryReader) throws(APIProblem) -> Value) throws(APIProblem) -> Value {
        var reader = try QueryReader(rawQuery.map { $0[...] })
        let value = try read(&reader)
        try reader.finish()
        return value
    }

    /// Refuses any query.
    func noQuery() throws(APIProblem) {
        try query { _ in }
    }

    /// What stands in the path for a parameter.
    func parameter(_ name: String) -> String { parameters[name] ?? "" }

    /// Whether the one who asks may see login URLs.
    var seesLoginURLs: Bool { principal?.seesLoginURLs ?? false }
}
