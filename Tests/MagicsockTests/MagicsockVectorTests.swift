import Foundation
import Magicsock
import NetTypes
import Tailcfg
import TestSupport
import Testing

@Suite("Magicsock (vectors)") struct MagicsockVectorTests {
    @Test func `classifies every datagram`() throws {
        for vector in try VectorFile("packet_classify", in: Bundle.module).cases {
            let packet = try #require(vector.value.packet?.hex)
            let expected: DatagramClass =
                switch (vector.value.kind?.string, vector.value.geneve?.bool) {
                case ("stun", _): .stun
                case ("disco", true): .relayedDisco
                case ("disco", _): .disco
                case ("wireguard", true): .relayedWireGuard
                default: .wireGuard
                }
            #expect(DatagramClass(packet.span) == expected, "\(vector)")
            for length in 0..<packet.count { _ = DatagramClass(packet.span.extracting(first: length)) }
        }
    }

    @Test func `prefers the better path`() throws {
        for vector in try VectorFile("better_addr", in: Bundle.module).cases {
            let first = try path(vector.value.a)
            let second = try path(vector.value.b)
            let isBetter = PathQuality.isBetter(first, than: second)
            #expect(vector.value.a_is_better == .bool(isBetter), "\(vector)")
        }
    }

    @Test func `chooses the home region`() throws {
        for vector in try VectorFile("home_derp", in: Bundle.module).cases {
            var chooser = HomeDERPChooser()
            var scores: [DERPRegionID: Double] = [:]
            for (region, score) in vector.value.scores?.object ?? [:] {
                scores[DERPRegionID(rawValue: try #require(Int64(region)))] = score.double
            }
            for report in try #require(vector.value.reports?.array) {
                var latency: [DERPRegionID: Duration] = [:]
                for (region, milliseconds) in try #require(report.latency_ms?.object) {
                    latency[DERPRegionID(rawValue: try #require(Int64(region)))] =
                        .nanoseconds(Int64(try #require(milliseconds.double) * 1_000_000))
                }
                let now = MonotonicTime.zero + .seconds(1_000) + .seconds(try #require(report.at_s?.int))
                let home = chooser.choose(latency: latency, scores: scores, startedAt: now, now: now)
                #expect(Int(home.rawValue) == report.home?.int, "\(vector)")
            }
        }
    }

    private func path(_ value: JSONValue?) throws -> PathQuality? {
        let value = try #require(value)
        let text = try #require(value.address?.string)
        guard !text.isEmpty else { return nil }
        let network = try #require(value.vni?.int)
        return PathQuality(
            address: try #require(AddressPort(text)),
            latency: .microseconds(try #require(value.latency_us?.int)),
            provenMTU: try #require(value.mtu?.int),
            relayNetwork: network == 0 ? nil : UInt32(network)
        )
    }
}
