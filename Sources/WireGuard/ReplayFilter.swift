/// Remembers which message counters of a session were seen, over a sliding window of 8128 (RFC 6479).
package struct ReplayFilter {
    private static let blockCount = 128
    /// How far behind the highest counter a message may come: one block is always being cleared.
    package static let windowSize = UInt64((blockCount - 1) * 64)

    private var blocks = InlineArray<128, UInt64>(repeating: 0)
    private var highest: UInt64 = 0

    /// An empty window.
    package init() {}

    /// Whether `counter` is new, inside the window and below `limit`; a counter that is becomes known.
    package mutating func accept(_ counter: UInt64, limit: UInt64 = .max - (1 << 13)) -> Bool {
        guard counter < limit else { return false }
        let block = counter >> 6
        if counter > highest {
            let current = highest >> 6
            let steps = min(block - current, UInt64(Self.blockCount))
            var step: UInt64 = 1
            while step <= steps {
                blocks[Int((current &+ step) & 127)] = 0
                step &+= 1
            }
            highest = counter
        } else if highest - counter > Self.windowSize {
            return false
        }
        let slot = Int(block & 127)
        let bit: UInt64 = 1 << (counter & 63)
        guard blocks[slot] & bit == 0 else { return false }
        blocks[slot] |= bit
        return true
    }
}
