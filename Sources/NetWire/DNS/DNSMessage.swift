package import NetTypes

/// A DNS message (RFC 1035 §4): a query of the guest or the answer to it.
package struct DNSMessage: Equatable, Sendable {
    /// Joins a response to its query.
    package var identifier: UInt16
    /// Kind and outcome.
    package var flags: DNSFlags
    /// What is asked, nearly always one question.
    package var questions: [DNSQuestion]
    /// The records that answer it.
    package var answers: [DNSRecord]
    /// Who is responsible for the name.
    package var authorities: [DNSRecord]
    /// What may help, and the OPT record.
    package var additionals: [DNSRecord]

    /// A message of these fields.
    package init(
        identifier: UInt16,
        flags: DNSFlags,
        questions: [DNSQuestion] = [],
        answers: [DNSRecord] = [],
        authorities: [DNSRecord] = [],
        additionals: [DNSRecord] = []
    ) {
        self.identifier = identifier
        self.flags = flags
        self.questions = questions
        self.answers = answers
        self.authorities = authorities
        self.additionals = additionals
    }

    /// Reads a whole message; octets behind the last record are tolerated.
    ///
    /// - Throws: what its names and records throw; nothing is reserved for counts that the message cannot hold.
    package init(parsing bytes: Span<UInt8>) throws(WireError) {
        let header = try DNSHeader(parsing: bytes)
        identifier = header.identifier
        flags = header.flags
        var cursor = DNSHeader.byteCount
        questions = []
        for _ in 0..<header.questionCount {
            questions.append(try DNSQuestion(parsing: bytes, at: &cursor))
        }
        answers = try Self.records(header.answerCount, bytes, &cursor)
        authorities = try Self.records(header.authorityCount, bytes, &cursor)
        additionals = try Self.records(header.additionalCount, bytes, &cursor)
    }

    private static func records(
        _ count: Int,
        _ bytes: Span<UInt8>,
        _ cursor: inout Int
    ) throws(WireError) -> [DNSRecord] {
        var records: [DNSRecord] = []
        for _ in 0..<count {
            records.append(try DNSRecord(parsing: bytes, at: &cursor))
        }
        return records
    }

    /// Appends the message to an empty array; names within the first question's become pointers to it.
    package func append(to bytes: inout [UInt8]) {
        precondition(bytes.isEmpty, "pointers count from the start of the message")
        DNSHeader(
            identifier: identifier,
            flags: flags,
            questionCount: questions.count,
            answerCount: answers.count,
            authorityCount: authorities.count,
            additionalCount: additionals.count
        ).append(to: &bytes)
        for question in questions { question.append(to: &bytes) }
        for record in answers + authorities + additionals {
            record.append(to: &bytes, question: questions.first)
        }
    }

    /// The message as octets.
    package var bytes: [UInt8] {
        var bytes: [UInt8] = []
        append(to: &bytes)
        return bytes
    }
}
