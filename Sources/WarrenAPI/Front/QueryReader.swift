import WarrenModel

/// Reads the parameters of a URL's query strictly: what nobody asked for is refused.
struct QueryReader {
    private var values: [String: [String]] = [:]
    private var asked: Set<String> = []

    init(_ query: Substring?) throws(APIProblem) {
        guard let query, !query.isEmpty else { return }
        for pair in query.split(separator: "&", omittingEmptySubsequences: true) {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = PercentEncoding.decoded(parts[0], plusIsBlank: true),
                let value = PercentEncoding.decoded(parts.count > 1 ? parts[1] : "", plusIsBlank: true)
            else { throw APIProblem(.invalidParameter, "The query is not properly escaped UTF-8.") }
            values[name, default: []].append(value)
        }
    }

    /// A parameter that may be given several times.
    mutating func all(_ name: String) -> [String] {
        asked.insert(name)
        return values[name] ?? []
    }

    /// A parameter as it is written.
    mutating func text(_ name: String) throws(APIProblem) -> String? {
        let all = all(name)
        guard all.count <= 1 else {
            throw APIProblem(.invalidParameter, "The parameter \(name) is given more than once.")
        }
        return all.first
    }

    /// A parameter that `parse` understands; `format` says how it is written.
    mutating func parsed<Value>(
        _ name: String,
        _ format: String,
        _ parse: (String) -> Value?
    ) throws(APIProblem) -> Value? {
        guard let text = try text(name) else { return nil }
        guard let value = parse(text) else {
            throw APIProblem(.invalidParameter, "The parameter \(name) must be \(format).")
        }
        return value
    }

    /// One of the words of an enumeration.
    mutating func choice<Value: RawRepresentable<String> & CaseIterable>(
        _ name: String,
        of type: Value.Type = Value.self
    ) throws(APIProblem) -> Value? {
        try parsed(name, "one of " + Value.allCases.map(\.rawValue).joined(separator: ", ")) { Value(rawValue: $0) }
    }

    /// A whole number in a range, written in plain digits.
    mutating func integer(_ name: String, in range: ClosedRange<Int64>) throws(APIProblem) -> Int64? {
        try parsed(name, "a whole number from \(range.lowerBound) to \(range.upperBound)") { text in
            guard text.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let number = Int64(text), range.contains(number)
            else { return nil }
            return number
        }
    }

    /// `true` or `false`.
    mutating func bool(_ name: String) throws(APIProblem) -> Bool? {
        try parsed(name, "true or false") { Bool($0) }
    }

    /// A span of time of at most `longest`.
    mutating func duration(_ name: String, upTo longest: Duration) throws(APIProblem) -> Duration? {
        try parsed(name, "a duration such as 30s, at most \(longest.goText)") { text in
            Duration(goText: text).flatMap { $0 <= longest ? $0 : nil }
        }
    }

    /// Refuses what nobody asked for.
    func finish() throws(APIProblem) {
        for name in values.keys.sorted() where !asked.contains(name) {
            let known = asked.isEmpty ? "none are taken here" : "known here: \(asked.sorted().joined(separator: ", "))"
            throw APIProblem(.invalidParameter, "The parameter \(name.prefix(64)) is unknown; \(known).")
        }
    }
}
