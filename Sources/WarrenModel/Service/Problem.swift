/// The body of every failed request (RFC 9457).
package struct Problem: Hashable, Sendable, Codable, Error {
    /// `/problems/<slug>`, a page that says what to do.
    package var type: String
    /// What kind of failure it is, in a few words.
    package var title: String
    /// The HTTP status.
    package var status: Int
    /// What happened, for people.
    package var detail: String
    /// The path of the request.
    package var instance: String?
    /// The request that failed, as log lines name it.
    package var requestId: String?
    /// Every fault of a body, for `validation-failed`.
    package var errors: [FieldError]?

    /// What the body's media type is.
    package static let mediaType = "application/problem+json"

    /// Describes a failure.
    package init(
        slug: String,
        title: String,
        status: Int,
        detail: String,
        instance: String? = nil,
        requestId: String? = nil,
        errors: [FieldError]? = nil
    ) {
        type = "/problems/" + slug
        self.title = title
        self.status = status
        self.detail = detail
        self.instance = instance
        self.requestId = requestId
        self.errors = errors
    }

    /// The last part of `type`.
    package var slug: String { type.split(separator: "/").last.map(String.init) ?? type }
}

/// One page of a list.
package struct Page<Item: Codable & Sendable>: Sendable, Codable {
    /// What the page holds.
    package var items: [Item]
    /// Asks for the next page; null on the last.
    @NullEncoded package var nextCursor: String?

    /// Joins the two.
    package init(items: [Item], nextCursor: String? = nil) {
        self.items = items
        self.nextCursor = nextCursor
    }

    /// How many items a page has when the request does not say.
    package static var defaultLimit: Int { 100 }
    /// How many items a request may ask for.
    package static var limits: ClosedRange<Int> { 1...500 }
}

extension Page: Equatable where Item: Equatable {}
