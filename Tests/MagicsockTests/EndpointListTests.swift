import Magicsock
import NetTypes
import Tailcfg
import Testing

@Suite("EndpointList") struct EndpointListTests {
    private func list(_ change: (inout EndpointList) -> Void) -> [String] {
        var list = EndpointList()
        list.portIPv4 = 1000
        list.portIPv6 = 2000
        change(&list)
        return list.endpoints.map { "\($0.address) \($0.type.rawValue)" }
    }

    @Test func `STUN comes first and nothing twice`() throws {
        let seen = try #require(AddressPort("203.0.113.5:7"))
        let local = try #require(IPAddress("192.168.1.2"))
        #expect(
            list {
                $0.stunIPv4 = [seen, seen]
                $0.interfaceAddresses = [local, .v4(.loopback)]
            } == ["203.0.113.5:7 2", "192.168.1.2:1000 1"]
        )
    }

    @Test func `a varying mapping publishes the fixed local port`() throws {
        let first = try #require(AddressPort("203.0.113.5:7"))
        let second = try #require(AddressPort("203.0.113.5:8"))
        #expect(
            list {
                $0.stunIPv4 = [first, second]
                $0.mappingVaries = true
                $0.hasFixedPort = true
            } == ["203.0.113.5:7 2", "203.0.113.5:8 2", "203.0.113.5:1000 4"]
        )
    }

    @Test func `loopback is published when there is nothing else or when asked for`() throws {
        let local = try #require(IPAddress("10.1.2.3"))
        #expect(list { $0.interfaceAddresses = [.v4(.loopback)] } == ["127.0.0.1:1000 1"])
        #expect(
            list {
                $0.interfaceAddresses = [.v4(.loopback), local]
                $0.includesLoopback = true
            } == ["10.1.2.3:1000 1", "127.0.0.1:1000 1"]
        )
        #expect(list { $0.boundAddress = .v4(.loopback) } == ["127.0.0.1:1000 1"])
    }

    @Test func `tailnet and link-local addresses are not endpoints`() throws {
        let tailnet = try #require(IPAddress("100.64.0.9"))
        let linkLocal = try #require(IPAddress("fe80::1"))
        let own = try #require(IPAddress("2001:db8::7"))
        #expect(list { $0.interfaceAddresses = [tailnet, linkLocal, own] } == ["[2001:db8::7]:2000 1"])
    }
}
