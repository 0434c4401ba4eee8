import HTTPTypes
import WarrenModel

/// What a request is called in its answer, in logs and in problems.
enum RequestID {
    /// The client's own, when it is sane: up to 128 letters, digits, dots, hyphens and underscores.
    static func taken(from headers: HTTPFields) -> String? {
        guard let text = headers[.requestID], (1...128).contains(text.utf8.count),
            text.utf8.allSatisfy({
                (0x61...0x7A).contains($0 | 0x20) || (0x30...0x39).contains($0) || "._-".utf8.contains($0)
            })
        else { return nil }
        return text
    }

    /// A new one.
    static func made() -> String {
        var generator = SystemRandomNumberGenerator()
        return "req_\(ULID(now: .now, using: &generator))"
    }
}
