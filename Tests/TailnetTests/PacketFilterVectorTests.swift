import Foundation
import NetTypes
import Tailcfg
import Tailnet
import TestSupport
import Testing

private let cases = Result { try VectorFile("packet_filter", in: .module).cases }

@Suite("PacketFilter against golden decisions")
struct PacketFilterVectorTests {
    @Test(arguments: try cases.get())
    func `decides on every packet as the reference client does`(_ vector: VectorCase) throws {
        let value = vector.value
        let filter = PacketFilter(seed: 1)
        let rules = PacketFilterRules(try Self.rules(value), capabilityHolders: try Self.holders(value))
        #expect((value.rule_error != nil) == !rules.problems.isEmpty)
        #expect((value.rules_usable == .bool(false)) == rules.problems.contains(.deprecatedBits))
        let local = try (value.local?.array ?? []).map { try #require($0.string.flatMap { IPPrefix($0) }) }
        filter.update(rules: rules, localAddresses: local, shieldsUp: value.shields_up?.bool ?? false)

        for packet in value.outbound_first?.array ?? [] {
            #expect(filter.outbound(try #require(packet.hex)) == .accept)
        }
        let packets = try #require(value.packets?.array)
        #expect(!packets.isEmpty)
        for packet in packets {
            let octets = try #require(packet.packet?.hex)
            let verdict: FilterVerdict
            switch packet.direction?.string {
            case "in": verdict = filter.inbound(octets)
            case "out": verdict = filter.outbound(octets)
            default:
                Issue.record("no direction: \(packet)")
                continue
            }
            let expected = try #require(packet.verdict?.string)
            #expect((verdict == .accept ? "accept" : "drop") == expected, "\(packet.description?.string ?? "")")
        }
    }

    private static func rules(_ value: JSONValue) throws -> [FilterRule] {
        guard let rules = value.rules, !rules.isNull else { return [] }
        return try JSONDecoder().decode([FilterRule].self, from: rules.data)
    }

    private static func holders(_ value: JSONValue) throws -> [String: [IPAddress]] {
        var holders: [String: [IPAddress]] = [:]
        for (text, capabilities) in value.peer_caps?.object ?? [:] {
            let address = try #require(IPAddress(text))
            for name in capabilities.array?.compactMap(\.string) ?? [] { holders[name, default: []].append(address) }
        }
        return holders
    }
}
