import NetTypes
import NetWire
import Testing

/// A small reproducible generator (SplitMix64).
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) {
        state = seed
    }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
        return mixed ^ mixed >> 31
    }

    mutating func bytes(upTo limit: Int) -> [UInt8] {
        (0..<Int.random(in: 0...limit, using: &self)).map { _ in UInt8.random(in: 0...255, using: &self) }
    }
}

/// Writes `byteCount` octets by `body` and returns them.
func stored(_ byteCount: Int, _ body: (inout MutableRawSpan) -> Void) -> [UInt8] {
    var result = [UInt8](repeating: 0xEE, count: byteCount)
    var span = result.mutableSpan
    var raw = span.mutableBytes
    body(&raw)
    return result
}

/// Runs `parse` on every proper prefix of `bytes`, on flipped bits and on garbage; nothing may trap.
func torment(_ bytes: [UInt8], seed: UInt64 = 1, _ parse: (Span<UInt8>) -> Void) {
    for count in 0...bytes.count { parse(bytes.span.extracting(0..<count)) }
    var generator = SeededGenerator(seed: seed)
    for _ in 0..<2000 {
        var mutated = bytes
        for _ in 0..<Int.random(in: 1...6, using: &generator) where !mutated.isEmpty {
            mutated[Int.random(in: 0..<mutated.count, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
        }
        parse(mutated.span.extracting(0..<Int.random(in: 0...mutated.count, using: &generator)))
        parse(generator.bytes(upTo: 120).span)
    }
}

/// The octets of hexadecimal text; blanks are for the eye.
func octets(_ text: String) throws -> [UInt8] {
    let digits = Array(text.filter { !$0.isWhitespace })
    return try stride(from: 0, to: digits.count, by: 2).map { index in
        try #require(UInt8(String(digits[index...(index + 1)]), radix: 16))
    }
}
