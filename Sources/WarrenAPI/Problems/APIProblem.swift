package import HTTPTypes
package import WarrenModel

/// A failure on its way to the client.
package struct APIProblem: Error, Sendable {
    /// What kind of failure it is.
    package let kind: ProblemKind
    /// One sentence about this occurrence.
    package let detail: String
    /// Every fault of a body.
    package let errors: [FieldError]?
    /// Header fields that belong to the answer, such as `Allow`.
    package let headers: HTTPFields

    /// Describes a failure.
    package init(_ kind: ProblemKind, _ detail: String, errors: [FieldError]? = nil, headers: HTTPFields = [:]) {
        self.kind = kind
        self.detail = detail
        self.errors = errors
        self.headers = headers
    }

    /// The body of the answer.
    package func body(instance: String, requestID: String) -> Problem {
        Problem(
            slug: kind.rawValue,
            title: kind.title,
            status: kind.status,
            detail: detail,
            instance: instance,
            requestId: requestID,
            errors: errors
        )
    }
}
