import FoundationEssentials
import Tailcfg

/// The `Retry-After` header of a 429 (RFC 9110 §10.2.3).
enum RetryAfter {
    private static let months = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]

    /// The delay that the header names, in seconds or as a date; nil when it is missing, not positive or above one hour.
    static func delay(_ text: String?, now: Date = Date()) -> Duration? {
        guard let text else { return nil }
        guard let seconds = Int(text).map(Double.init) ?? date(text).map({ $0.timeIntervalSince(now) }),
            seconds > 0, seconds <= 3600
        else { return nil }
        return .milliseconds(Int64(seconds * 1000))
    }

    /// Reads `Sun, 06 Nov 1994 08:49:37 GMT`, the one form that servers may send.
    private static func date(_ text: String) -> Date? {
        let parts = text.split(separator: " ")
        guard parts.count == 6, parts[5] == "GMT", let month = months.firstIndex(of: String(parts[2])) else {
            return nil
        }
        let number = month < 9 ? "0\(month + 1)" : "\(month + 1)"
        return ControlTime("\(parts[3])-\(number)-\(parts[1])T\(parts[4])Z")?.date
    }
}
