import NetTypes

/// What the X25519 public keys of all roles have in common: 32 octets and a text form with a prefix.
package protocol PublicKey: Hashable, Sendable, Codable, CustomStringConvertible {
    /// What the text form begins with, the colon included.
    static var textPrefix: String { get }
    /// The key itself.
    var octets: Octets32 { get }
    /// The form for logs.
    var short: String { get }
    /// The key with these octets.
    init(octets: Octets32)
}

extension PublicKey {
    /// How many octets a key has.
    package static var byteCount: Int { Octets32.byteCount }
    /// The all-zero key, which stands for "absent".
    package static var zero: Self { Self(octets: .zero) }
    /// Whether this is the key that stands for "absent".
    package var isZero: Bool { octets.isZero }

    /// Reads 32 octets at `offset`; traps beyond the span.
    package init(_ bytes: Span<UInt8>, at offset: Int = 0) {
        self.init(octets: Octets32(bytes, at: offset))
    }

    /// Takes exactly 32 octets; nil for any other length.
    package init?(bytes: [UInt8]) {
        guard let octets = Octets32(bytes: bytes) else { return nil }
        self.init(octets: octets)
    }

    /// Parses the prefix (exact) and 64 hex digits (either case); anything else is refused.
    package init?(text: some StringProtocol) {
        guard text.utf8.starts(with: Self.textPrefix.utf8) else { return nil }
        let digits = String(text).dropFirst(Self.textPrefix.count)
        guard let octets = Octets32(hex: digits) else { return nil }
        self.init(octets: octets)
    }

    /// The prefix and 64 lower-case hex digits.
    package var text: String { Self.textPrefix + octets.hex }
    /// The octets as an array.
    package var bytes: [UInt8] { octets.bytes }
    /// The form for logs: the first five base64 characters in brackets.
    package var short: String { "[\(Base64Head.fiveCharacters(of: octets))]" }
    /// The form for logs, so that interpolation stays short; `text` is the wire form.
    package var description: String { short }

    /// Stores the key at `offset`; traps beyond the span.
    package func store(into span: inout MutableRawSpan, at offset: Int) {
        octets.store(into: &span, at: offset)
    }

    /// Appends the key; traps when there is no room.
    package func append(to output: inout OutputRawSpan) {
        octets.append(to: &output)
    }

    /// Reads the text form.
    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        guard let key = Self(text: try container.decode(String.self)) else {
            throw DecodingError.dataCorruptedError(
                in: container,
                debugDescription: "not a key of the form \(Self.textPrefix)<64 hex digits>"
            )
        }
        self = key
    }

    /// Writes the text form.
    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(text)
    }
}

/// The first characters of a key's base64, which is all that logs show.
enum Base64Head {
    /// Five characters: the first thirty bits.
    static func fiveCharacters(of octets: Octets32) -> String {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
        let head: UInt32 = octets.withSpan { $0.bigEndian(at: 0) }
        let characters = (0..<5).map { alphabet[Int(head >> UInt32(26 - 6 * $0) & 63)] }
        return String(decoding: characters, as: UTF8.self)
    }
}

/// The key of an installation or of a control server (`mkey:`), which authenticates the control channel.
package struct MachinePublicKey: PublicKey {
    /// `mkey:`.
    package static let textPrefix = "mkey:"
    /// The key itself.
    package let octets: Octets32

    /// The key with these octets.
    package init(octets: Octets32) { self.octets = octets }
}

/// The key of a node (`nodekey:`): its WireGuard static key and its identity on relays.
package struct NodePublicKey: PublicKey {
    /// `nodekey:`.
    package static let textPrefix = "nodekey:"
    /// The key itself.
    package let octets: Octets32

    /// The key with these octets.
    package init(octets: Octets32) { self.octets = octets }
}

/// The key that seals a node's discovery messages (`discokey:`), new at every start.
package struct DiscoPublicKey: PublicKey {
    /// `discokey:`.
    package static let textPrefix = "discokey:"
    /// The key itself.
    package let octets: Octets32

    /// The key with these octets.
    package init(octets: Octets32) { self.octets = octets }

    /// The form for logs: `d:` and the first sixteen hex digits.
    package var short: String { "d:" + octets.hex.prefix(16) }
}

/// The key of one control connection (`chalpub:`), to which a server asks a node to prove itself.
package struct ChallengePublicKey: PublicKey {
    /// `chalpub:`.
    package static let textPrefix = "chalpub:"
    /// The key itself.
    package let octets: Octets32

    /// The key with these octets.
    package init(octets: Octets32) { self.octets = octets }
}
