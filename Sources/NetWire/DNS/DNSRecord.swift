package import NetTypes

/// What a DNS query asks (RFC 1035 §4.1.2).
package struct DNSQuestion: Equatable, Sendable {
    /// The Internet class, which nearly everything has.
    package static let internetClass: UInt16 = 1

    /// The name asked for.
    package var name: DNSName
    /// What is asked about it.
    package var type: DNSType
    /// The class, nearly always `internetClass`.
    package var recordClass: UInt16

    /// A question of these fields.
    package init(name: DNSName, type: DNSType, recordClass: UInt16 = internetClass) {
        self.name = name
        self.type = type
        self.recordClass = recordClass
    }

    /// Reads a question at `cursor` of a whole message and moves `cursor` behind it.
    ///
    /// - Throws: `.truncated`, `.malformed`.
    package init(parsing message: Span<UInt8>, at cursor: inout Int) throws(WireError) {
        var position = cursor
        name = try DNSName(parsing: message, at: &position)
        guard message.count - position >= 4 else { throw .truncated }
        type = DNSType(rawValue: message.bigEndian(at: position))
        recordClass = message.bigEndian(at: position + 2)
        cursor = position + 4
    }

    /// Appends the question, its name in full.
    package func append(to bytes: inout [UInt8]) {
        bytes.append(contentsOf: name.wire)
        bytes.append(bigEndian: type.rawValue)
        bytes.append(bigEndian: recordClass)
    }
}

/// The start-of-authority record that says how long a missing name may be remembered (RFC 1035 §3.3.13).
package struct DNSStartOfAuthority: Equatable, Sendable {
    /// The primary name server.
    package var primaryServer: DNSName
    /// The mailbox of who is responsible, as a name.
    package var mailbox: DNSName
    /// Grows with every change.
    package var serial: UInt32
    /// Seconds until secondaries ask again.
    package var refreshSeconds: UInt32
    /// Seconds until they ask once more after a failure.
    package var retrySeconds: UInt32
    /// Seconds after which they give up.
    package var expireSeconds: UInt32
    /// Seconds that a missing name may be remembered.
    package var minimumSeconds: UInt32

    /// A record of these fields.
    package init(
        primaryServer: DNSName,
        mailbox: DNSName,
        serial: UInt32,
        refreshSeconds: UInt32,
        retrySeconds: UInt32,
        expireSeconds: UInt32,
        minimumSeconds: UInt32
    ) {
        self.primaryServer = primaryServer
        self.mailbox = mailbox
        self.serial = serial
        self.refreshSeconds = refreshSeconds
        self.retrySeconds = retrySeconds
        self.expireSeconds = expireSeconds
        self.minimumSeconds = minimumSeconds
    }
}

/// A resource record (RFC 1035 §4.1.3).
package struct DNSRecord: Equatable, Sendable {
    /// What a record says, by its type.
    package enum Content: Equatable, Sendable {
        /// An A record.
        case ipv4(IPv4Address)
        /// An AAAA record.
        case ipv6(IPv6Address)
        /// A PTR record.
        case pointer(DNSName)
        /// An SOA record.
        case startOfAuthority(DNSStartOfAuthority)
        /// Any other type: its octets, in which names may still point into the message they came from.
        case other(DNSType, [UInt8])
    }

    /// Whom the record is about.
    package var name: DNSName
    /// The class, nearly always 1; the payload size in an OPT record.
    package var recordClass: UInt16
    /// How long it may be remembered.
    package var lifetimeSeconds: UInt32
    /// What it says.
    package var content: Content

    /// A record of these fields.
    package init(
        name: DNSName,
        recordClass: UInt16 = DNSQuestion.internetClass,
        lifetimeSeconds: UInt32,
        content: Content
    ) {
        self.name = name
        self.recordClass = recordClass
        self.lifetimeSeconds = lifetimeSeconds
        self.content = content
    }

    /// The record's type.
    package var type: DNSType {
        switch content {
        case .ipv4: .a
        case .ipv6: .aaaa
        case .pointer: .ptr
        case .startOfAuthority: .soa
        case .other(let type, _): type
        }
    }

    /// Reads a record at `cursor` of a whole message and moves `cursor` behind it.
    ///
    /// - Throws: `.truncated`, `.malformed`, `.badLength` when the content does not fill its length.
    package init(parsing message: Span<UInt8>, at cursor: inout Int) throws(WireError) {
        var position = cursor
        name = try DNSName(parsing: message, at: &position)
        guard message.count - position >= 10 else { throw .truncated }
        let type = DNSType(rawValue: message.bigEndian(at: position))
        recordClass = message.bigEndian(at: position + 2)
        lifetimeSeconds = message.bigEndian(at: position + 4)
        let count = Int(message.bigEndian(at: position + 8, as: UInt16.self))
        position += 10
        guard count <= message.count - position else { throw .truncated }
        let end = position + count
        // Names in the content may point back into the message but must end where the content ends.
        let upToEnd = message.extracting(0..<end)
        switch type {
        case .a:
            guard count == 4 else { throw .badLength }
            content = .ipv4(IPv4Address(message, at: position))
        case .aaaa:
            guard count == 16 else { throw .badLength }
            content = .ipv6(IPv6Address(message, at: position))
        case .ptr:
            content = .pointer(try DNSName(parsing: upToEnd, at: &position))
            guard position == end else { throw .badLength }
        case .soa:
            let primaryServer = try DNSName(parsing: upToEnd, at: &position)
            let mailbox = try DNSName(parsing: upToEnd, at: &position)
            guard end - position == 20 else { throw .badLength }
            content = .startOfAuthority(
                DNSStartOfAuthority(
                    primaryServer: primaryServer,
                    mailbox: mailbox,
                    serial: message.bigEndian(at: position),
                    refreshSeconds: message.bigEndian(at: position + 4),
                    retrySeconds: message.bigEndian(at: position + 8),
                    expireSeconds: message.bigEndian(at: position + 12),
                    minimumSeconds: message.bigEndian(at: position + 16)
                )
            )
        default:
            content = .other(type, message.extracting(position..<end).array)
        }
        cursor = end
    }

    /// Appends the record; names within the question's name, which stands at offset 12, become pointers to it.
    package func append(to bytes: inout [UInt8], question: DNSQuestion?) {
        Self.append(name, to: &bytes, question: question)
        bytes.append(bigEndian: type.rawValue)
        bytes.append(bigEndian: recordClass)
        bytes.append(bigEndian: lifetimeSeconds)
        let lengthOffset = bytes.count
        bytes.append(bigEndian: UInt16(0))
        switch content {
        case .ipv4(let address): bytes.append(bigEndian: address.rawValue)
        case .ipv6(let address):
            bytes.append(bigEndian: address.high)
            bytes.append(bigEndian: address.low)
        case .pointer(let name): Self.append(name, to: &bytes, question: question)
        case .startOfAuthority(let authority):
            Self.append(authority.primaryServer, to: &bytes, question: question)
            Self.append(authority.mailbox, to: &bytes, question: question)
            bytes.append(bigEndian: authority.serial)
            bytes.append(bigEndian: authority.refreshSeconds)
            bytes.append(bigEndian: authority.retrySeconds)
            bytes.append(bigEndian: authority.expireSeconds)
            bytes.append(bigEndian: authority.minimumSeconds)
        case .other(_, let octets): bytes.append(contentsOf: octets)
        }
        let count = UInt16(truncatingIfNeeded: bytes.count - lengthOffset - 2)
        bytes[lengthOffset] = UInt8(truncatingIfNeeded: count >> 8)
        bytes[lengthOffset + 1] = UInt8(truncatingIfNeeded: count)
    }

    private static func append(_ name: DNSName, to bytes: inout [UInt8], question: DNSQuestion?) {
        if !name.isRoot, let question, let offset = question.name.offset(of: name) {
            bytes.append(bigEndian: UInt16(0xC000 | (DNSHeader.byteCount + offset)))
        } else {
            bytes.append(contentsOf: name.wire)
        }
    }
}
