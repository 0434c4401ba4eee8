extension Duration {
    /// Reads a span of time as Go writes it, such as `30s`, `1h30m` or `1.5s`; signs, blanks and bare numbers are refused, except `0`.
    package init?(goText text: some StringProtocol) {
        if text == "0" {
            self = .zero
            return
        }
        var rest = Array(text.utf8)[...]
        guard !rest.isEmpty, rest.count <= 64 else { return nil }
        var nanoseconds = 0.0
        while !rest.isEmpty {
            let number = rest.prefix { (0x30...0x39).contains($0) || $0 == UInt8(ascii: ".") }
            rest = rest.dropFirst(number.count)
            let unit = rest.prefix { !(0x30...0x39).contains($0) && $0 != UInt8(ascii: ".") }
            rest = rest.dropFirst(unit.count)
            guard number.contains(where: { $0 != UInt8(ascii: ".") }),
                let value = Double("0" + String(decoding: number, as: UTF8.self)),
                let factor = Self.nanoseconds(in: String(decoding: unit, as: UTF8.self))
            else { return nil }
            nanoseconds += value * factor
        }
        // Go counts nanoseconds in 64 bits; so do we, that no text overflows.
        guard nanoseconds < 9.2e18 else { return nil }
        self = .nanoseconds(Int64(nanoseconds.rounded()))
    }

    /// The span as Go's `time.Duration` writes it: `1h30m0s`, `1.5s`, `250ms`.
    package var goText: String {
        let (seconds, attoseconds) = components
        let nanoseconds = attoseconds / 1_000_000_000
        if seconds < 0 || attoseconds < 0 { return "-" + (Duration.zero - self).goText }
        if seconds == 0 {
            switch nanoseconds {
            case 0: return "0s"
            case ..<1000: return "\(nanoseconds)ns"
            case ..<1_000_000: return Self.decimal(nanoseconds, places: 3) + "µs"
            default: return Self.decimal(nanoseconds, places: 6) + "ms"
            }
        }
        let tail = Self.decimal((seconds % 60) * 1_000_000_000 + nanoseconds, places: 9) + "s"
        if seconds < 60 { return tail }
        if seconds < 3600 { return "\(seconds / 60)m\(tail)" }
        return "\(seconds / 3600)h\(seconds / 60 % 60)m\(tail)"
    }

    /// Milliseconds, what is left over cut off.
    package var wholeMilliseconds: Int64 {
        components.seconds &* 1000 &+ components.attoseconds / 1_000_000_000_000_000
    }

    private static func nanoseconds(in unit: String) -> Double? {
        switch unit {
        case "ns": 1
        case "us", "µs", "μs": 1e3
        case "ms": 1e6
        case "s": 1e9
        case "m": 60e9
        case "h": 3600e9
        default: nil
        }
    }

    private static func decimal(_ value: Int64, places: Int) -> String {
        var scale: Int64 = 1
        for _ in 0..<places { scale *= 10 }
        var fraction = String(value % scale)
        fraction = String(repeating: "0", count: places - fraction.utf8.count) + fraction
        while fraction.hasSuffix("0") { fraction.removeLast() }
        return fraction.isEmpty ? "\(value / scale)" : "\(value / scale).\(fraction)"
    }
}
