/// How much may be on its way, so that the network between is not filled (RFC 5681).
struct CongestionWindow: Sendable {
    /// The limit in octets.
    private(set) var byteCount: Int
    private var threshold = Int.max
    private let segment: Int

    /// The window at the start.
    init(segment: Int) {
        self.segment = segment
        byteCount = segment * TCPConstants.initialWindowSegments
    }

    /// So much has arrived.
    mutating func grow(by count: Int) {
        byteCount += byteCount < threshold ? min(count, segment) : max(1, segment * segment / byteCount)
    }

    /// Something was lost, but what followed it arrived.
    mutating func halve(inFlight: Int) {
        threshold = max(inFlight / 2, 2 * segment)
        byteCount = threshold
    }

    /// Nothing arrived for a whole time-out.
    mutating func collapse(inFlight: Int) {
        threshold = max(inFlight / 2, 2 * segment)
        byteCount = segment
    }
}
