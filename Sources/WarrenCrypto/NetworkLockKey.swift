import CSodium
import NetTypes

/// The public half of a tailnet-lock key (Ed25519), which a node tells the server at registration.
package struct NetworkLockPublicKey: Hashable, Sendable, Codable {
    /// The key itself.
    package let octets: Octets32

    /// The key with these octets.
    package init(octets: Octets32) { self.octets = octets }

    /// The all-zero key, which stands for "absent".
    package static let zero = NetworkLockPublicKey(octets: .zero)
    /// Whether this is the key that stands for "absent".
    package var isZero: Bool { octets.isZero }
    /// The octets as an array.
    package var bytes: [UInt8] { octets.bytes }
    /// `nlpub:` and 64 lower-case hex digits.
    package var text: String { "nlpub:" + octets.hex }

    /// Parses `nlpub:` or the command line's `tlpub:`, and 64 hex digits of either case.
    package init?(text: some StringProtocol) {
        guard text.utf8.starts(with: "nlpub:".utf8) || text.utf8.starts(with: "tlpub:".utf8),
            let octets = Octets32(hex: String(text).dropFirst(6))
        else { return nil }
        self.init(octets: octets)
    }

    /// Reads the text form.
    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        guard let key = Self(text: try container.decode(String.self)) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "not a tailnet-lock key")
        }
        self = key
    }

    /// Writes the text form.
    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(text)
    }
}

/// The private half of a tailnet-lock key, one per installation.
package struct NetworkLockPrivateKey: Sendable, CustomStringConvertible {
    private static let textPrefix = "nlpriv:"
    // Seed and public key, as libsodium and Go both keep it.
    private let expanded: SecretBytes
    /// The public half.
    package let publicKey: NetworkLockPublicKey

    /// Makes a random key.
    package init() {
        self.init(seedBytes: SecretBytes(randomCount: 32))
    }

    /// Makes the key of a seed of 32 octets; nil for any other length.
    package init?(seed: [UInt8]) {
        guard seed.count == 32 else { return nil }
        self.init(seedBytes: SecretBytes(copying: seed.span))
    }

    /// Parses `nlpriv:` and 128 hex digits; nil when the public half in it is not that of the seed.
    package init?(text: some StringProtocol) {
        guard text.utf8.starts(with: Self.textPrefix.utf8),
            let bytes = HexText.octets(String(text).dropFirst(Self.textPrefix.count)), bytes.count == 64
        else { return nil }
        self.init(seedBytes: SecretBytes(copying: bytes.span.extracting(0..<32)))
        guard publicKey.octets == Octets32(bytes.span, at: 32) else { return nil }
    }

    private init(seedBytes: SecretBytes) {
        CryptoLibraries.prepareSodium()
        var octets = Octets32.zero
        expanded = unsafe SecretBytes(count: 64) { output in
            octets = unsafe Octets32.written { publicOutput in
                _ = unsafe seedBytes.withPointer { unsafe crypto_sign_seed_keypair(publicOutput, output, $0) }
            }
        }
        publicKey = NetworkLockPublicKey(octets: octets)
    }

    /// `nlpriv:` and 128 lower-case hex digits, the form on disk: a secret.
    package var text: String { Self.textPrefix + HexText.text(expanded.bytes) }
    /// Names the public key; the private one stays out of logs.
    package var description: String { "<private key of \(publicKey.text)>" }
}
