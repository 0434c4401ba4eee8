import NetTypes
import Testing

@testable import WarrenDaemon

@Suite("HostResolvers (resolv.conf(5))") struct HostResolversTests {
    @Test func `the first three that are addresses`() {
        let text = """
            # nameserver 192.0.2.9
            search example.com
            nameserver 127.0.0.53
            nameserver\tfd00::53
            nameserver fe80::1%eth0
            nameserver resolver.example.com
            nameserver 192.0.2.1
            nameserver 192.0.2.2
            """
        #expect(HostResolvers.parse(text).map(\.description) == ["127.0.0.53:53", "[fd00::53]:53", "192.0.2.1:53"])
        #expect(HostResolvers.read(from: "/nowhere/resolv.conf").isEmpty)
    }
}
