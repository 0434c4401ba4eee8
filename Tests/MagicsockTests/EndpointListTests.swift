import NetTypes
import Tailcfg
import Testing

@testable import Magicsock

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

    @Test func `a public endpoint is remembered for five minutes, and six of one address`() {
        var memory = EndpointMemory()
        let start = MonotonicTime.zero + .seconds(1_000)
        func seen(_ port: UInt16) -> PublishedEndpoint {
            PublishedEndpoint(AddressPort(.v4(IPv4Address(203, 0, 113, 9)), port: port), .stun)
        }
        #expect(memory.remember([seen(1)], at: start) == [seen(1)])
        #expect(memory.remember([seen(2)], at: start + .seconds(300)) == [seen(2), seen(1)])
        #expect(memory.remember([seen(2)], at: start + .seconds(311)) == [seen(2)])
        var last: [PublishedEndpoint] = []
        for port in 10..<30 { last = memory.remember([seen(UInt16(port))], at: start + .seconds(320 + port)) }
        #expect(last.map(\.address.port) == [29, 28, 27, 26, 25, 24])
    }
}
