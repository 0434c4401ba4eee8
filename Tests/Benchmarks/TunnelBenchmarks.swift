import NetTypes

/// Node to node without guests, over loopback: what paths and tunnel leave of libcrypto's speed.
let tunnelBenchmarks: [Benchmark] = [
    Benchmark(name: "udp_path") {
        let figure = throughput(usesUDP: true, window: 1_024)
        return [
            Measurement(name: "udp_path_mbps", value: figure, unit: "Mbit/s", digits: 0),
            Measurement(name: "udp_path_aim", value: 4_000, unit: "Mbit/s", digits: 0),
        ]
    },
    Benchmark(name: "derp_path") {
        // No more than a relay keeps for one destination before it drops.
        let figure = throughput(usesUDP: false, window: 32)
        return [
            Measurement(name: "derp_path_mbps", value: figure, unit: "Mbit/s", digits: 0),
            Measurement(name: "derp_path_aim", value: 600, unit: "Mbit/s", digits: 0),
        ]
    },
    Benchmark(name: "path_upgrade") {
        let figures = (0..<5).map { _ in
            measured {
                let pair = try TunnelPair(usesUDP: true, window: 32)
                try pair.introduce(byAddress: false)
                try pair.sendOne()
                let time = try pair.upgrade()
                try pair.stop()
                return time
            }
        }
        return [
            Measurement(name: "path_upgrade_ms", value: median(figures), unit: "ms", digits: 1),
            Measurement(name: "path_upgrade_aim", value: 500, unit: "ms", digits: 0),
        ]
    },
]

private func throughput(usesUDP: Bool, window: Int) -> Double {
    measured {
        let pair = try TunnelPair(usesUDP: usesUDP, window: window)
        if usesUDP { _ = try pair.upgrade() } else { try pair.introduce(byAddress: false) }
        try pair.sendOne()
        let figures = try (0..<3).map { _ in try pair.throughput(for: .seconds(1)) }
        try pair.stop()
        return median(figures)
    }
}

private func measured(_ body: () throws -> Double) -> Double {
    do { return try body() } catch { preconditionFailure("the tunnel could not be set up: \(error)") }
}
