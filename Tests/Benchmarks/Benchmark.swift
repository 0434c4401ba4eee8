/// One thing that is measured beside what bounds it.
struct Benchmark: Sendable {
    /// What the lines of this benchmark begin with.
    let name: String
    /// Measures and returns the lines to print.
    let run: @Sendable () -> [Measurement]
}

/// A measured quantity, printed as `name value unit`.
struct Measurement: CustomStringConvertible {
    let name: String
    let value: Double
    let unit: String
    /// How many digits follow the point.
    var digits = 1

    var description: String {
        let scale = (0..<digits).reduce(1) { scale, _ in scale * 10 }
        let scaled = Int((value * Double(scale)).rounded())
        // The added one keeps the leading zeros of the fraction, and is cut off with the first character.
        let fraction = digits == 0 ? "" : "." + String(scaled % scale + scale).dropFirst()
        return "\(name) \(scaled / scale)\(fraction) \(unit)"
    }
}

/// The middle of several samples, which one disturbance does not move.
func median(_ samples: [Double]) -> Double {
    let sorted = samples.sorted()
    let middle = sorted.count / 2
    return sorted.count.isMultiple(of: 2) ? (sorted[middle - 1] + sorted[middle]) / 2 : sorted[middle]
}

/// Takes samples of two contenders in turn, so that a busy machine slows both, and returns their medians.
func compare(
    samples count: Int = 7,
    _ first: () -> Double,
    _ second: () -> Double
) -> (first: Double, second: Double) {
    // The first round warms caches and clocks, and is thrown away.
    _ = (first(), second())
    var samples: (first: [Double], second: [Double]) = ([], [])
    for _ in 0..<count {
        samples.first.append(first())
        samples.second.append(second())
    }
    return (median(samples.first), median(samples.second))
}

/// The time that `body` takes, in seconds.
func seconds(_ body: () -> Void) -> Double {
    let duration = ContinuousClock().measure(body)
    let (whole, attoseconds) = duration.components
    return Double(whole) + Double(attoseconds) / 1e18
}
