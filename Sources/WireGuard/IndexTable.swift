/// Finds the peer behind a receiver index: open addressing over indices that we chose at random ourselves.
///
/// As nobody else chooses an index, the index is its own hash and nobody can crowd a bucket.
struct IndexTable {
    private struct Entry {
        var index: UInt32
        // Negative when the entry is free.
        var slot: Int32
    }

    private var entries = [Entry](repeating: Entry(index: 0, slot: -1), count: 16)
    /// How many indices there are.
    private(set) var count = 0

    /// The peer's slot for `index`, or nil.
    func slot(of index: UInt32) -> Int? {
        let mask = entries.count - 1
        var place = Int(index) & mask
        while entries[place].slot >= 0 {
            if entries[place].index == index { return Int(entries[place].slot) }
            place = (place + 1) & mask
        }
        return nil
    }

    /// Enters an index that is not in the table.
    mutating func insert(_ index: UInt32, slot: Int) {
        if (count + 1) * 2 > entries.count { grow() }
        place(Entry(index: index, slot: Int32(slot)))
        count += 1
    }

    /// Removes an index if it is there.
    mutating func remove(_ index: UInt32) {
        let mask = entries.count - 1
        var hole = Int(index) & mask
        while entries[hole].index != index || entries[hole].slot < 0 {
            guard entries[hole].slot >= 0 else { return }
            hole = (hole + 1) & mask
        }
        count -= 1
        // Close the gap, or entries beyond it would no longer be found.
        var next = (hole + 1) & mask
        while entries[next].slot >= 0 {
            let home = Int(entries[next].index) & mask
            if (next - home) & mask >= (next - hole) & mask {
                entries[hole] = entries[next]
                hole = next
            }
            next = (next + 1) & mask
        }
        entries[hole].slot = -1
    }

    private mutating func place(_ entry: Entry) {
        let mask = entries.count - 1
        var place = Int(entry.index) & mask
        while entries[place].slot >= 0 { place = (place + 1) & mask }
        entries[place] = entry
    }

    private mutating func grow() {
        let old = entries
        entries = [Entry](repeating: Entry(index: 0, slot: -1), count: old.count * 2)
        for entry in old where entry.slot >= 0 { place(entry) }
    }
}
