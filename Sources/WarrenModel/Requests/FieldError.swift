/// One fault of a request body.
package struct FieldError: Error, Hashable, Sendable, Codable {
    /// What kind of fault it is, for programs.
    package enum Code: String, Hashable, Sendable, Codable, CaseIterable {
        /// The contract has no such member.
        case unknownMember = "unknown-member"
        /// The value has another JSON type.
        case wrongType = "wrong-type"
        /// The member is missing.
        case required
        /// The value is too small, too large, too long or too many.
        case outOfRange = "out-of-range"
        /// The value is not written as it must be.
        case badFormat = "bad-format"
        /// The value names something that does not exist.
        case notFound = "not-found"
        /// The value is refused by a rule of this host.
        case refused
        /// The contract has the member, this version does not serve it.
        case notSupported = "not-supported"
    }

    /// Where: a JSON pointer (RFC 6901) into the body.
    package let pointer: String
    /// What kind of fault it is.
    package let code: Code
    /// One sentence for people.
    package let detail: String

    /// Describes a fault.
    package init(pointer: String, code: Code, detail: String) {
        self.pointer = pointer
        self.code = code
        self.detail = detail
    }
}

/// A request body breaks the contract; all its faults at once.
package struct ValidationFailure: Error, Equatable, Sendable {
    /// The faults, at least one.
    package let errors: [FieldError]

    /// Wraps the faults.
    package init(_ errors: [FieldError]) { self.errors = errors }
}
