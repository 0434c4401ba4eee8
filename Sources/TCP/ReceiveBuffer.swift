import NetTypes

/// What the other side has sent: octets in order for the user, and those that came too early.
struct ReceiveBuffer: Sendable {
    /// The next number expected.
    private(set) var next: UInt32
    /// Octets that the user has not taken yet.
    private(set) var octets: [UInt8] = []
    /// Whether everything up to the other side's FIN is here.
    private(set) var isFinished = false
    private let capacity: Int
    private var early: [(sequence: UInt32, payload: [UInt8])] = []
    private var finish: UInt32?

    /// An empty buffer of `capacity` octets.
    init(next: UInt32, capacity: Int) {
        self.next = next
        self.capacity = capacity
    }

    /// How much may still come.
    var window: Int { capacity - octets.count }

    /// Whether a segment lies in the window at least in part (RFC 9293 §3.10.7.4).
    func accepts(sequence: UInt32, count: UInt32) -> Bool {
        let end = next &+ UInt32(window)
        if count == 0 { return sequence == next || (!precedes(sequence, next) && precedes(sequence, end)) }
        guard window > 0 else { return false }
        let last = sequence &+ count &- 1
        return (!precedes(sequence, next) && precedes(sequence, end)) || (!precedes(last, next) && precedes(last, end))
    }

    /// Takes the octets of an acceptable segment, which may reach beyond both ends of the window.
    mutating func insert(_ payload: [UInt8], at sequence: UInt32, isLast: Bool) {
        guard !isFinished else { return }
        if isLast {
            let end = sequence &+ UInt32(payload.count)
            // Octets beyond the window are cut off, and a FIN behind them with them.
            if !precedes(next &+ UInt32(window), end) { finish = end }
        }
        append(payload, at: sequence)
        drainEarly()
        if finish == next {
            isFinished = true
            next &+= 1
            early.removeAll()
        }
    }

    /// Hands the octets in order to the user.
    mutating func take() -> [UInt8] {
        defer { octets.removeAll() }
        return octets
    }

    private mutating func append(_ payload: [UInt8], at sequence: UInt32) {
        guard !payload.isEmpty else { return }
        if precedes(next, sequence) {
            let room = Int(next &+ UInt32(window) &- sequence)
            // Pieces may overlap, and all of them together get no more room than the window would have.
            let held = early.reduce(payload.count) { $0 + $1.payload.count }
            guard room > 0, held <= capacity, early.count < TCPDefaults.earlyLimit else { return }
            early.append((sequence, Array(payload.prefix(room))))
            return
        }
        let known = Int(next &- sequence)
        guard known < payload.count else { return }
        let new = payload[known...].prefix(window)
        octets += new
        next &+= UInt32(new.count)
    }

    private mutating func drainEarly() {
        while let index = early.firstIndex(where: { !precedes(next, $0.sequence) }) {
            let piece = early.remove(at: index)
            append(piece.payload, at: piece.sequence)
        }
    }
}
