import CSodium

/// What the X25519 private keys of all roles have in common: 32 secret octets that yield a public key.
///
/// Private keys are not `Equatable` and not `Codable`, so that neither a comparison that leaks nor an
/// accidental encoding compiles.
package protocol PrivateKey: Sendable, CustomStringConvertible {
    /// The public key of the same role.
    associatedtype Public: PublicKey
    /// The scalar, 32 octets.
    var secretBytes: SecretBytes { get }
    /// The public key that belongs to it.
    var publicKey: Public { get }
    /// The key with this scalar, 32 octets, and the public key derived from it.
    init(scalar: SecretBytes, publicKey: Public)
}

extension PrivateKey {
    /// Makes a random key, clamped as RFC 7748 §5 asks.
    package init() {
        var generator = SecureRandomNumberGenerator()
        self.init(using: &generator)
    }

    /// Makes a key from `generator`, clamped as RFC 7748 §5 asks.
    package init(using generator: inout some RandomNumberGenerator) {
        let scalar = unsafe SecretBytes(count: 32) { octets in
            for word in 0..<4 {
                let value = generator.next()
                for index in 0..<8 {
                    unsafe octets[word * 8 + index] = UInt8(truncatingIfNeeded: value >> UInt64(index * 8))
                }
            }
            unsafe octets[0] &= 248
            unsafe octets[31] = (octets[31] & 127) | 64
        }
        self.init(scalar: scalar, publicKey: Public(octets: X25519.publicValue(of: scalar)))
    }

    /// Takes exactly 32 octets as they are; nil for any other length.
    package init?(bytes: [UInt8]) {
        guard bytes.count == Octets32.byteCount else { return nil }
        let scalar = SecretBytes(copying: bytes.span)
        self.init(scalar: scalar, publicKey: Public(octets: X25519.publicValue(of: scalar)))
    }

    /// Parses `privkey:` and 64 hex digits of either case.
    package init?(text: some StringProtocol) {
        guard text.utf8.starts(with: "privkey:".utf8) else { return nil }
        let digits = String(text).dropFirst("privkey:".count)
        guard let bytes = HexText.octets(digits) else { return nil }
        self.init(bytes: bytes)
    }

    /// `privkey:` and 64 lower-case hex digits, the form on disk: a secret.
    package var text: String { "privkey:" + HexText.text(secretBytes.bytes) }

    /// Lends the 32 octets to `body`.
    package func withBytes<Result: ~Copyable, Failure: Error>(
        _ body: (Span<UInt8>) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try secretBytes.withSpan(body)
    }

    /// Whether both are the same key, in constant time.
    package func isEqual(to other: Self) -> Bool { secretBytes.isEqual(to: other.secretBytes) }

    /// Names the public key; the private one stays out of logs.
    package var description: String { "<private key of \(publicKey.short)>" }
}

/// The private half of `MachinePublicKey`.
package struct MachinePrivateKey: PrivateKey {
    /// The scalar.
    package let secretBytes: SecretBytes
    /// The public half.
    package let publicKey: MachinePublicKey

    /// Joins the two halves.
    package init(scalar: SecretBytes, publicKey: MachinePublicKey) {
        (secretBytes, self.publicKey) = (scalar, publicKey)
    }
}

/// The private half of `NodePublicKey`.
package struct NodePrivateKey: PrivateKey {
    /// The scalar.
    package let secretBytes: SecretBytes
    /// The public half.
    package let publicKey: NodePublicKey

    /// Joins the two halves.
    package init(scalar: SecretBytes, publicKey: NodePublicKey) {
        (secretBytes, self.publicKey) = (scalar, publicKey)
    }
}

/// The private half of `DiscoPublicKey`.
package struct DiscoPrivateKey: PrivateKey {
    /// The scalar.
    package let secretBytes: SecretBytes
    /// The public half.
    package let publicKey: DiscoPublicKey

    /// Joins the two halves.
    package init(scalar: SecretBytes, publicKey: DiscoPublicKey) {
        (secretBytes, self.publicKey) = (scalar, publicKey)
    }
}

/// The private half of `ChallengePublicKey`.
package struct ChallengePrivateKey: PrivateKey {
    /// The scalar.
    package let secretBytes: SecretBytes
    /// The public half.
    package let publicKey: ChallengePublicKey

    /// Joins the two halves.
    package init(scalar: SecretBytes, publicKey: ChallengePublicKey) {
        (secretBytes, self.publicKey) = (scalar, publicKey)
    }
}
