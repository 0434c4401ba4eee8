import NetTypes

/// The earliest deadlines of many peers: an indexed binary heap that holds only peers with something due.
///
/// A stored deadline may be earlier than the true one, never later: whoever is woken early asks again.
struct DeadlineQueue {
    private var heap: [Int32] = []
    // By slot: the place in the heap (-1 when absent) and the stored deadline.
    private var places: [Int32] = []
    private var deadlines: [MonotonicTime] = []

    /// The earliest stored deadline.
    var earliest: MonotonicTime? { heap.first.map { deadlines[Int($0)] } }

    /// Makes sure that `slot` is woken at `deadline` or before.
    mutating func schedule(_ slot: Int, by deadline: MonotonicTime) {
        guard deadline < .distantFuture else { return }
        while places.count <= slot {
            places.append(-1)
            deadlines.append(.distantFuture)
        }
        if places[slot] < 0 {
            deadlines[slot] = deadline
            places[slot] = Int32(heap.count)
            heap.append(Int32(slot))
            moveUp(heap.count - 1)
        } else if deadline < deadlines[slot] {
            deadlines[slot] = deadline
            moveUp(Int(places[slot]))
        }
    }

    /// Takes out a slot whose deadline is not after `now`.
    mutating func popDue(at now: MonotonicTime) -> Int? {
        guard let first = heap.first, deadlines[Int(first)] <= now else { return nil }
        remove(Int(first))
        return Int(first)
    }

    /// Takes `slot` out if it is there.
    mutating func remove(_ slot: Int) {
        guard slot < places.count, places[slot] >= 0 else { return }
        let hole = Int(places[slot])
        places[slot] = -1
        let last = heap.removeLast()
        guard hole < heap.count else { return }
        heap[hole] = last
        places[Int(last)] = Int32(hole)
        moveUp(hole)
        moveDown(Int(places[Int(last)]))
    }

    private func isEarlier(_ first: Int, _ second: Int) -> Bool {
        deadlines[Int(heap[first])] < deadlines[Int(heap[second])]
    }

    private mutating func exchange(_ first: Int, _ second: Int) {
        heap.swapAt(first, second)
        places[Int(heap[first])] = Int32(first)
        places[Int(heap[second])] = Int32(second)
    }

    private mutating func moveUp(_ start: Int) {
        var child = start
        while child > 0, isEarlier(child, (child - 1) / 2) {
            exchange(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    private mutating func moveDown(_ start: Int) {
        var parent = start
        while true {
            var best = parent
            for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count && isEarlier(child, best) {
                best = child
            }
            guard best != parent else { return }
            exchange(parent, best)
            parent = best
        }
    }
}
