import Logging
import Magicsock
import NetTypes
import NetWire
import Tailcfg
import Testing
import WarrenCrypto
import WarrenModel

@testable import GuestNetwork
@testable import Tailnet

@Suite("PlaneNetwork") struct PlaneNetworkTests {
    private struct Closed: DialPolicy {
        func permits(_ address: IPAddress, for purpose: DialPurpose) -> Bool { false }
    }

    private let configuration = TailnetNodeConfiguration(
        controlURL: "http://127.0.0.1:1",
        preferences: NodePreferences(hostname: "asked"),
        nicSocketPath: "/nowhere",
        dialPolicy: Closed(),
        logger: Logger(label: "test")
    )

    private func node(_ id: NodeID, _ name: String, _ address: String) throws -> Node {
        var node = Node(id: id)
        node.name = name
        node.key = NodePrivateKey().publicKey
        node.discoKey = DiscoPrivateKey().publicKey
        node.homeDERP = 1
        node.machineAuthorized = true
        node.addresses = [IPPrefix(try #require(IPAddress(address)))]
        node.normalize()
        return node
    }

    private func map() throws -> NetworkMap {
        var map = NetworkMap(selfNode: try node(1, "me.example.net.", "100.64.0.1"))
        map.peers[2] = try node(2, "two.example.net.", "100.64.0.2")
        map.dnsConfig.proxied = true
        map.dnsConfig.domains = ["example.net"]
        return map
    }

    @Test func `gives the guest its address, name and search domain`() throws {
        let network = PlaneNetwork(
            map: try map(),
            preferences: configuration.preferences,
            now: ControlTime(seconds: 1_700_000_000)
        )
        #expect(network.addressing.ipv4 == IPv4Address(100, 64, 0, 1))
        #expect(network.addressing.hostname == "me")
        #expect(network.addressing.domain == DNSName("example.net"))
        #expect(network.addressing.searchDomains == [DNSName("example.net")])
        let peer = try #require(DNSName("two.example.net"))
        #expect(network.zone.addresses(of: peer) == [.v4(IPv4Address(100, 64, 0, 2))])
        #expect(network.peers.map(\.id) == [2])
    }

    @Test func `a guest that does not accept the tailnet's DNS gets no search domains`() throws {
        var configuration = configuration
        configuration.preferences.acceptDNS = false
        let network = PlaneNetwork(
            map: try map(),
            preferences: configuration.preferences,
            now: ControlTime(seconds: 1_700_000_000)
        )
        #expect(network.addressing.searchDomains.isEmpty)
    }

    @Test func `expired, unreachable and masquerading peers are not talked to`() throws {
        var map = try map()
        map.peers[2]?.expired = true
        map.peers[3] = try node(3, "three.example.net.", "100.64.0.3")
        map.peers[3]?.discoKey = .zero
        map.peers[3]?.homeDERP = .none
        map.peers[4] = try node(4, "four.example.net.", "100.64.0.4")
        map.peers[4]?.selfIPv4MasqueradeAddress = .v4(IPv4Address(100, 64, 0, 40))
        let network = PlaneNetwork(
            map: map,
            preferences: configuration.preferences,
            now: ControlTime(seconds: 1_700_000_000)
        )
        #expect(network.peers.isEmpty)
    }

    @Test func `a peer of plain WireGuard is talked to as one, and attributes switch paths`() throws {
        var map = try map()
        map.peers[2]?.isWireGuardOnly = true
        map.peers[2]?.discoKey = .zero
        map.selfNode.capabilityMap = ["only-tcp-443": nil, "silent-disco": nil]
        let network = PlaneNetwork(
            map: map,
            preferences: configuration.preferences,
            now: ControlTime(seconds: 1_700_000_000)
        )
        #expect(network.peers.map(\.path.isWireGuardOnly) == [true])
        #expect(network.switches.relayOnly && network.switches.silentDisco)
    }

    @Test func `loopback is open for a tailnet on one machine, and for its purposes only`() {
        let policy = OneMachinePolicy(base: Closed())
        #expect(policy.permits(.v4(.loopback), for: .derp))
        #expect(policy.permits(.v4(.loopback), for: .disco))
        #expect(!policy.permits(.v4(.loopback), for: .webhook))
        #expect(!policy.permits(.v4(IPv4Address(10, 0, 0, 1)), for: .disco))
    }

    @Test func `a logout forgets the node's keys and keeps the machine's`() {
        var identity = NodeIdentity()
        identity.isRegistered = true
        identity.candidateKey = NodePrivateKey()
        let (machine, node) = (identity.machineKey.publicKey, identity.nodeKey.publicKey)
        identity.logOut()
        #expect(identity.machineKey.publicKey == machine && identity.nodeKey.publicKey != node)
        #expect(identity.candidateKey == nil && !identity.isRegistered && identity.isLoggedOut)
        #expect(identity.logID.utf8.count == 64 && NodeIdentity().logID != identity.logID)
    }
}
