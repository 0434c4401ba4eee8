/// Why bytes from outside could not be read.
///
/// Every wire decoder of the house throws this type and no other.
package enum WireError: Error, Equatable, Sendable {
    /// The input ended before the field that is read.
    case truncated
    /// A length field disagrees with the input or with a cap.
    case badLength
    /// A fixed value (magic, version, type) is not the expected one.
    case badMagic
    /// A checksum or fingerprint does not match.
    case badChecksum
    /// The value is well formed but this decoder does not speak it.
    case unsupported
    /// A field holds a value that its specification forbids.
    case malformed
    /// The message does not fit the room given for it.
    case noRoom
}
