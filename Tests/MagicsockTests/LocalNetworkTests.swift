import Testing

@testable import Magicsock

@Suite("LocalNetwork") struct LocalNetworkTests {
    @Test func `the default routes are told without the counters beside them`() {
        let ipv4 = """
            Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
            eth0\t00000000\t0100A8C0\t0003\t0\t7\t0\t00000000\t0\t0\t0
            eth0\t0000A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
            """
        let zero = String(repeating: "0", count: 32)
        let gateway = "fe80000000000000" + "0000000000000001"
        let ipv6 = """
            \(zero) 00 \(zero) 00 \(gateway) 00000400 00000001 00000009 00000003     eth0
            \(zero) 00 \(zero) 00 \(zero) ffffffff 00000001 00000000 00200200       lo
            \(gateway) 80 \(zero) 00 \(zero) 00000000 00000002 00000000 80200001     eth0
            """
        #expect(
            LocalNetwork.defaultRoutes(ipv4: ipv4, ipv6: ipv6)
                == ["default eth0 0100A8C0", "default eth0 \(gateway)"]
        )
        #expect(LocalNetwork.defaultRoutes(ipv4: "garbage", ipv6: "a b c\n\t\n").isEmpty)
    }
}
