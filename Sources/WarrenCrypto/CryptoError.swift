/// Why a cryptographic operation gave no result.
package enum CryptoError: Error, Equatable, Sendable {
    /// The other side's public value has a low order: the shared secret would be all zeros (RFC 7748 §6.1).
    case lowOrderPoint
    /// A sealed message does not authenticate under this key, nonce and associated data.
    case authenticationFailed
    /// A key, nonce or message has a length that the primitive does not take.
    case badLength
}
