import WarrenModel

/// The `Retry-After` field (RFC 9110 §10.2.3).
enum RetryAfter {
    /// The wait it asks for, given in seconds or as an HTTP date; nil when it is neither.
    static func parse(_ text: String, now: Timestamp) -> Duration? {
        if text.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let seconds = Int64(text) {
            return .seconds(min(seconds, 1_000_000))
        }
        // "Sun, 06 Nov 1994 08:49:37 GMT", the only form that may be sent.
        let parts = text.split(separator: " ")
        guard parts.count == 6, parts[5] == "GMT", parts[1].utf8.count == 2,
            let month = months.firstIndex(of: String(parts[2])),
            let moment = Timestamp("\(parts[3])-\(month < 9 ? "0" : "")\(month + 1)-\(parts[1])T\(parts[4])Z")
        else { return nil }
        return max(.zero, moment - now)
    }

    private static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
}
