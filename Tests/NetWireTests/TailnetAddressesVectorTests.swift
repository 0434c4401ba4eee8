import Foundation
import NetTypes
import TestSupport
import Testing

@Suite("TailnetAddresses: golden vectors")
struct TailnetAddressesVectorTests {
    @Test func `every case holds`() throws {
        for vector in try VectorFile("tsaddr", in: Bundle.module).cases {
            let value = vector.value
            switch value.op?.string {
            case "is_tailscale_ip":
                let address = try #require(value.ip?.string.flatMap { IPAddress($0) })
                #expect(TailnetAddresses.contains(address) == value.result?.bool, "\(vector)")
            case "4to6":
                let ipv4 = try #require(value.ipv4?.string.flatMap { IPv4Address($0) })
                let ipv6 = try #require(value.ipv6?.string.flatMap { IPv6Address($0) })
                #expect(TailnetAddresses.companion(of: ipv4) == ipv6, "\(vector)")
                #expect(TailnetAddresses.owner(ofCompanion: ipv6) == ipv4, "\(vector)")
            case "map_via":
                let site = UInt32(try #require(value.site?.int))
                let prefix = try #require(value.ipv4_prefix?.string.flatMap { IPPrefix($0) })
                let mapped = try #require(TailnetAddresses.via(site: site, prefix))
                #expect(mapped.description == value.ipv6_prefix?.string, "\(vector)")
                guard case .v6(let first) = mapped.address else { continue }
                let unmapped = try #require(TailnetAddresses.unmapVia(first))
                #expect(unmapped.site == site && unmapped.address.description == value.unmap_first_address?.string)
            default: Issue.record("unknown op in \(vector)")
            }
        }
    }
}
