/// Content negotiation (RFC 9110 §12.5.1), as far as a service with one or two media types needs it.
enum Accept {
    /// The media type to answer with, or nil when none of `offered` will do.
    static func choose(_ field: String?, from offered: [String]) -> String? {
        guard let first = offered.first else { return nil }
        guard let field, !field.allSatisfy({ $0 == " " || $0 == "," }) else { return first }
        let ranges = field.split(separator: ",").compactMap { Range($0) }
        let scored = offered.map { type in
            (type, ranges.filter { $0.covers(type) }.max { $0.precision < $1.precision }?.quality ?? 0)
        }
        guard let best = scored.map(\.1).max(), best > 0 else { return nil }
        return scored.first { $0.1 == best }?.0
    }

    private struct Range {
        let type: Substring
        let quality: Double

        init?(_ text: Substring) {
            let parts = text.split(separator: ";").map { part in part.filter { $0 != " " && $0 != "\t" }.lowercased() }
            guard let type = parts.first, type.contains("/") else { return nil }
            self.type = type[...]
            let quality = parts.dropFirst().first { $0.hasPrefix("q=") }.map { $0.dropFirst(2) }
            self.quality = quality.map { Double($0) ?? 0 } ?? 1
        }

        var precision: Int { type == "*/*" ? 0 : type.hasSuffix("/*") ? 1 : 2 }

        func covers(_ offered: String) -> Bool {
            let offered = offered.prefix { $0 != ";" }
            return switch precision {
            case 0: true
            case 1: offered.hasPrefix(type.dropLast())
            // Whoever accepts the problem document alone still gets the answer it describes.
            default: offered == type || (type == "application/problem+json" && offered == "application/json")
            }
        }
    }
}
