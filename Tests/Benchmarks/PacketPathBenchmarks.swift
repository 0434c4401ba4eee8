// Some 20 000 packets a sample.
private let burstsPerSample = 160

/// What one node does for a packet between NIO's read and NIO's write, the real data plane in both directions.
let packetPathBenchmarks: [Benchmark] = [
    Benchmark(name: "packet_path") {
        let path: PacketPath
        do {
            path = try PacketPath()
        } catch {
            preconditionFailure("the packet path could not be set up: \(error)")
        }
        precondition(path.meter.noticesAllocations())
        let out = measure(path, .out)
        let inward = measure(path, .in)
        return [
            Measurement(name: "packet_path_allocations_out", value: out.allocations, unit: "per-packet", digits: 4),
            Measurement(name: "packet_path_allocations_in", value: inward.allocations, unit: "per-packet", digits: 4),
            Measurement(name: "packet_path_allocations_aim", value: 0, unit: "per-packet", digits: 0),
            Measurement(name: "packet_path_ns_out", value: out.nanoseconds, unit: "ns"),
            Measurement(name: "packet_path_ns_in", value: inward.nanoseconds, unit: "ns"),
        ]
    }
]

/// Allocations and nanoseconds a packet: of all samples the former, of the middle one the latter.
private func measure(
    _ path: PacketPath,
    _ direction: PacketPath.Direction
) -> (allocations: Double, nanoseconds: Double) {
    // Buffers grow to their size, and caches fill.
    for _ in 0..<burstsPerSample / 4 { _ = path.pass(measuring: direction) }
    let packetsPerSample = Double(burstsPerSample * PacketPath.burstCount)
    var allocations = 0.0
    var samples: [Double] = []
    for _ in 0..<7 {
        path.meter.reset()
        for _ in 0..<burstsPerSample { precondition(path.pass(measuring: direction), "a packet was lost") }
        allocations += Double(path.meter.allocationCount)
        let nanoseconds = Double(path.meter.duration.components.attoseconds) / 1e9
        samples.append((Double(path.meter.duration.components.seconds) * 1e9 + nanoseconds) / packetsPerSample)
    }
    return (allocations / packetsPerSample / Double(samples.count), median(samples))
}
