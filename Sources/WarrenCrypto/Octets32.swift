import NetTypes

/// Thirty-two octets of a public value, such as a public key or a hash, as one small value.
package struct Octets32: Hashable, Sendable {
    // In memory the words are the octets in order, so that C may read them in place.
    private var word0: UInt64
    private var word1: UInt64
    private var word2: UInt64
    private var word3: UInt64

    /// How many octets there are.
    package static let byteCount = 32
    /// All octets zero.
    package static let zero = Octets32()

    private init() {
        (word0, word1, word2, word3) = (0, 0, 0, 0)
    }

    /// Reads 32 octets at `offset`; traps beyond the span.
    package init(_ bytes: Span<UInt8>, at offset: Int = 0) {
        word0 = UInt64(littleEndian: bytes.littleEndian(at: offset))
        word1 = UInt64(littleEndian: bytes.littleEndian(at: offset + 8))
        word2 = UInt64(littleEndian: bytes.littleEndian(at: offset + 16))
        word3 = UInt64(littleEndian: bytes.littleEndian(at: offset + 24))
    }

    /// Takes exactly 32 octets; nil for any other length.
    package init?(bytes: [UInt8]) {
        guard bytes.count == Self.byteCount else { return nil }
        self.init(bytes.span)
    }

    /// Parses exactly 64 hex digits of either case.
    package init?(hex text: some StringProtocol) {
        guard let bytes = HexText.octets(text) else { return nil }
        self.init(bytes: bytes)
    }

    /// Whether all octets are zero.
    package var isZero: Bool { word0 | word1 | word2 | word3 == 0 }

    /// The octets as an array.
    package var bytes: [UInt8] { withSpan { $0.array } }

    /// 64 lower-case hex digits.
    package var hex: String { HexText.text(bytes) }

    /// Lends the octets to `body`.
    package func withSpan<Result: ~Copyable, Failure: Error>(
        _ body: (Span<UInt8>) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        let words: InlineArray<4, UInt64> = [word0, word1, word2, word3]
        return try body(unsafe Span<UInt8>(_bytes: words.span.bytes))
    }

    /// Lends the address of the octets to a C function.
    func withPointer<Result>(_ body: (UnsafePointer<UInt8>) -> Result) -> Result {
        unsafe withUnsafePointer(to: self) { pointer in
            unsafe pointer.withMemoryRebound(to: UInt8.self, capacity: Self.byteCount) { unsafe body($0) }
        }
    }

    /// Lets a C function write 32 octets and takes them.
    static func written(by body: (UnsafeMutablePointer<UInt8>) -> Void) -> Octets32 {
        var value = Octets32()
        unsafe withUnsafeMutablePointer(to: &value) { pointer in
            unsafe pointer.withMemoryRebound(to: UInt8.self, capacity: byteCount) { unsafe body($0) }
        }
        return value
    }

    /// Stores the octets at `offset`; traps beyond the span.
    package func store(into span: inout MutableRawSpan, at offset: Int) {
        span.store(littleEndian: word0.littleEndian, at: offset)
        span.store(littleEndian: word1.littleEndian, at: offset + 8)
        span.store(littleEndian: word2.littleEndian, at: offset + 16)
        span.store(littleEndian: word3.littleEndian, at: offset + 24)
    }

    /// Appends the octets; traps when there is no room.
    package func append(to output: inout OutputRawSpan) {
        output.append(littleEndian: word0.littleEndian)
        output.append(littleEndian: word1.littleEndian)
        output.append(littleEndian: word2.littleEndian)
        output.append(littleEndian: word3.littleEndian)
    }
}
