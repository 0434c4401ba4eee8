package import HTTPTypes
package import WarrenModel

/// One method of one path: who may ask, what it takes and gives, and what it does.
package struct APIRoute: Sendable {
    /// Who may ask.
    package enum Access: Sendable, Equatable {
        /// Anyone who reaches the listener.
        case open
        /// Any good token.
        case authenticated
        /// A token whose scopes cover this one.
        case scope(APIScope)
    }

    /// The method.
    package let method: HTTPRequest.Method
    /// The path, with parameters in braces: `/v1/vms/{vm}`.
    package let path: String
    /// Who may ask.
    package let access: Access
    /// The media types it can answer with, the preferred one first.
    package let produces: [String]
    /// Whether a JSON body is read.
    package let takesBody: Bool
    /// Whether it creates something, so that `Idempotency-Key` holds.
    package let creates: Bool
    let handle: @Sendable (APICall) async throws -> APIAnswer

    init(
        _ method: HTTPRequest.Method,
        _ path: String,
        _ access: Access,
        produces: [String] = ["application/json"],
        takesBody: Bool = false,
        creates: Bool = false,
        _ handle: @escaping @Sendable (APICall) async throws -> APIAnswer
    ) {
        self.method = method
        self.path = path
        self.access = access
        self.produces = produces
        self.takesBody = takesBody
        self.creates = creates
        self.handle = handle
    }
}
