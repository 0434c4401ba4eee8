package import NetTypes

/// A DNS message of which only what a forwarder touches is read: header, first question and OPT record (RFC 6891).
///
/// Everything else stays as the octets that came, so that types nobody here knows pass unchanged.
package struct DNSEnvelope: Equatable, Sendable {
    /// What every client can take over UDP (RFC 1035 §4.2.1).
    package static let minimumPayloadByteCount = 512

    /// The message.
    package private(set) var bytes: [UInt8]
    /// The flags.
    package let flags: DNSFlags
    /// The first question; nil when there is none.
    package let question: DNSQuestion?
    // Behind the last question.
    private let questionEnd: Int
    // The whole OPT record, whose owner is one octet and whose class is the payload size.
    private let optionRecord: Range<Int>?

    /// Reads a message.
    ///
    /// Records that cannot be walked only hide the OPT record behind them.
    /// - Throws: `.truncated`, `.malformed` when header or questions cannot be read.
    package init(parsing bytes: [UInt8]) throws(WireError) {
        self.bytes = bytes
        let span = bytes.span
        let header = try DNSHeader(parsing: span)
        flags = header.flags
        var cursor = DNSHeader.byteCount
        var first: DNSQuestion?
        for _ in 0..<header.questionCount {
            let question = try DNSQuestion(parsing: span, at: &cursor)
            first = first ?? question
        }
        question = first
        questionEnd = cursor
        optionRecord = Self.optionRecord(
            in: span,
            from: cursor,
            skipping: header.answerCount + header.authorityCount,
            among: header.additionalCount
        )
    }

    /// Joins a response to its query.
    package var identifier: UInt16 {
        get { UInt16(bytes[0]) << 8 | UInt16(bytes[1]) }
        set { store(newValue, at: 0) }
    }

    /// Whether there is an OPT record.
    package var hasOptions: Bool { optionRecord != nil }

    /// How large an answer over UDP may be: what the OPT record says, at least 512.
    package var payloadByteCount: Int {
        guard let optionRecord else { return Self.minimumPayloadByteCount }
        return max(
            Int(bytes.span.bigEndian(at: optionRecord.lowerBound + 3, as: UInt16.self)),
            Self.minimumPayloadByteCount
        )
    }

    /// Lowers the size that the OPT record allows; without one nothing changes.
    package mutating func limitPayload(to byteCount: UInt16) {
        guard let optionRecord, payloadByteCount > Int(byteCount) else { return }
        store(byteCount, at: optionRecord.lowerBound + 3)
    }

    /// The message without its records but with the OPT record, marked as truncated (RFC 2181 §9).
    package var truncated: [UInt8] {
        var marked = flags
        marked.isTruncated = true
        var result: [UInt8] = []
        DNSHeader(
            identifier: identifier,
            flags: marked,
            questionCount: Int(bytes.span.bigEndian(at: 4, as: UInt16.self)),
            additionalCount: hasOptions ? 1 : 0
        ).append(to: &result)
        result += bytes[DNSHeader.byteCount..<questionEnd]
        if let optionRecord { result += bytes[optionRecord] }
        return result
    }

    private mutating func store(_ value: UInt16, at offset: Int) {
        bytes[offset] = UInt8(truncatingIfNeeded: value >> 8)
        bytes[offset + 1] = UInt8(truncatingIfNeeded: value)
    }

    private static func optionRecord(
        in message: Span<UInt8>,
        from start: Int,
        skipping skipped: Int,
        among count: Int
    ) -> Range<Int>? {
        var cursor = start
        for index in 0..<(skipped + count) {
            let record = cursor
            guard skipName(in: message, at: &cursor), message.count - cursor >= 10 else { return nil }
            let type: UInt16 = message.bigEndian(at: cursor)
            let length = Int(message.bigEndian(at: cursor + 8, as: UInt16.self))
            let hasRootOwner = cursor == record + 1
            cursor += 10 + length
            guard cursor <= message.count else { return nil }
            if index >= skipped, type == DNSType.opt.rawValue, hasRootOwner { return record..<cursor }
        }
        return nil
    }

    private static func skipName(in message: Span<UInt8>, at cursor: inout Int) -> Bool {
        while cursor < message.count {
            let length = message[cursor]
            switch length >> 6 {
            case 0:
                cursor += Int(length) + 1
                if length == 0 { return true }
            case 3:
                cursor += 2
                return cursor <= message.count
            default: return false
            }
        }
        return false
    }
}
