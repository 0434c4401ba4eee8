package import NetTypes

/// What a resource record holds (RFC 1035 §3.2.2, RFC 3596); unknown numbers survive.
package struct DNSType: RawRepresentable, Hashable, Sendable {
    /// The number on the wire.
    package let rawValue: UInt16

    /// Takes any number.
    package init(rawValue: UInt16) {
        self.rawValue = rawValue
    }

    /// An IPv4 address.
    package static let a = DNSType(rawValue: 1)
    /// A name server.
    package static let ns = DNSType(rawValue: 2)
    /// The start of a zone.
    package static let soa = DNSType(rawValue: 6)
    /// A name for an address.
    package static let ptr = DNSType(rawValue: 12)
    /// A host's hardware.
    package static let hinfo = DNSType(rawValue: 13)
    /// Text.
    package static let txt = DNSType(rawValue: 16)
    /// An IPv6 address.
    package static let aaaa = DNSType(rawValue: 28)
    /// The pseudo record of EDNS (RFC 6891).
    package static let opt = DNSType(rawValue: 41)
    /// A whole zone.
    package static let axfr = DNSType(rawValue: 252)
    /// Whatever there is.
    package static let any = DNSType(rawValue: 255)
}

/// How a query went; unknown numbers survive.
package struct DNSResponseCode: RawRepresentable, Hashable, Sendable {
    /// 0…15.
    package let rawValue: UInt8

    /// Takes the low four bits.
    package init(rawValue: UInt8) {
        self.rawValue = rawValue & 15
    }

    /// NOERROR.
    package static let success = DNSResponseCode(rawValue: 0)
    /// FORMERR.
    package static let formatError = DNSResponseCode(rawValue: 1)
    /// SERVFAIL.
    package static let serverFailure = DNSResponseCode(rawValue: 2)
    /// NXDOMAIN.
    package static let nameError = DNSResponseCode(rawValue: 3)
    /// NOTIMP.
    package static let notImplemented = DNSResponseCode(rawValue: 4)
    /// REFUSED.
    package static let refused = DNSResponseCode(rawValue: 5)
}

/// The flags of a DNS header (RFC 1035 §4.1.1, RFC 4035 §3.1.6).
package struct DNSFlags: RawRepresentable, Hashable, Sendable {
    /// The sixteen bits as on the wire, in host order.
    package var rawValue: UInt16

    /// Takes any bits.
    package init(rawValue: UInt16) {
        self.rawValue = rawValue
    }

    /// QR: this is a response.
    package var isResponse: Bool {
        get { bit(15) }
        set { setBit(15, newValue) }
    }
    /// AA: the answer comes from who owns the zone.
    package var isAuthoritative: Bool {
        get { bit(10) }
        set { setBit(10, newValue) }
    }
    /// TC: there was more than would fit.
    package var isTruncated: Bool {
        get { bit(9) }
        set { setBit(9, newValue) }
    }
    /// RD: the client wants the whole way walked.
    package var recursionDesired: Bool {
        get { bit(8) }
        set { setBit(8, newValue) }
    }
    /// RA: the server would walk it.
    package var recursionAvailable: Bool {
        get { bit(7) }
        set { setBit(7, newValue) }
    }
    /// How the query went.
    package var responseCode: DNSResponseCode {
        get { DNSResponseCode(rawValue: UInt8(truncatingIfNeeded: rawValue)) }
        set { rawValue = rawValue & 0xFFF0 | UInt16(newValue.rawValue) }
    }

    private func bit(_ index: Int) -> Bool { rawValue >> index & 1 == 1 }
    private mutating func setBit(_ index: Int, _ value: Bool) {
        rawValue = rawValue & ~(1 << index) | (value ? 1 << index : 0)
    }
}

/// The fixed header of a DNS message (RFC 1035 §4.1.1).
///
/// | offset | octets | field |
/// |---|---|---|
/// | 0 | 2 | identifier |
/// | 2 | 2 | flags |
/// | 4 | 2 | questions |
/// | 6 | 2 | answers |
/// | 8 | 2 | authorities |
/// | 10 | 2 | additionals |
package struct DNSHeader: Equatable, Sendable {
    /// 12 octets.
    package static let byteCount = 12

    /// Joins a response to its query.
    package var identifier: UInt16
    /// Kind and outcome.
    package var flags: DNSFlags
    /// How many questions follow.
    package var questionCount: Int
    /// How many answers follow them.
    package var answerCount: Int
    /// How many authority records follow them.
    package var authorityCount: Int
    /// How many additional records follow them.
    package var additionalCount: Int

    /// A header of these fields.
    package init(
        identifier: UInt16,
        flags: DNSFlags,
        questionCount: Int = 0,
        answerCount: Int = 0,
        authorityCount: Int = 0,
        additionalCount: Int = 0
    ) {
        self.identifier = identifier
        self.flags = flags
        self.questionCount = questionCount
        self.answerCount = answerCount
        self.authorityCount = authorityCount
        self.additionalCount = additionalCount
    }

    /// Reads the first 12 octets of a message.
    ///
    /// - Throws: `.truncated`.
    package init(parsing bytes: Span<UInt8>) throws(WireError) {
        guard bytes.count >= Self.byteCount else { throw .truncated }
        identifier = bytes.bigEndian(at: 0)
        flags = DNSFlags(rawValue: bytes.bigEndian(at: 2))
        questionCount = Int(bytes.bigEndian(at: 4, as: UInt16.self))
        answerCount = Int(bytes.bigEndian(at: 6, as: UInt16.self))
        authorityCount = Int(bytes.bigEndian(at: 8, as: UInt16.self))
        additionalCount = Int(bytes.bigEndian(at: 10, as: UInt16.self))
    }

    /// Appends 12 octets.
    package func append(to bytes: inout [UInt8]) {
        bytes.append(bigEndian: identifier)
        bytes.append(bigEndian: flags.rawValue)
        bytes.append(bigEndian: UInt16(questionCount))
        bytes.append(bigEndian: UInt16(answerCount))
        bytes.append(bigEndian: UInt16(authorityCount))
        bytes.append(bigEndian: UInt16(additionalCount))
    }
}
