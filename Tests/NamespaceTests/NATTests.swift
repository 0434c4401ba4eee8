import Foundation
import TestSupport
import Testing

/// How a site's router translates addresses.
enum NAT: String, CaseIterable {
    /// The same port outside for every destination; only who was called may answer.
    case independent
    /// Another port for every destination.
    case dependent
    /// The same port outside for every destination, and everybody may call.
    case open

    func rules(lan: String) -> String {
        let translation = self == .dependent ? "masquerade fully-random" : "masquerade persistent"
        let inward = self == .open ? "iifname \"pub\" udp dport 1024-65535 dnat to \(lan)" : ""
        let forward = self == .open ? "udp dport 1024-65535 accept" : ""
        return """
            table ip nat {
              chain pre {
                type nat hook prerouting priority -100
                \(inward)
              }
              chain post {
                type nat hook postrouting priority 100
                oifname "pub" \(translation)
              }
            }
            table ip filter {
              chain in {
                type filter hook input priority 0
                policy drop
              }
              chain through {
                type filter hook forward priority 0
                policy drop
                iifname "lan" accept
                ct state established,related accept
                \(forward)
              }
            }

            """
    }
}

@Suite(
    "Nodes behind NATs",
    .enabled(if: NamespacePrerequisites.areMet, "needs root, ip, nft and network namespaces"),
    .timeLimit(.minutes(2)),
    // Each case runs a server and two nodes: more at once would measure the machine.
    .serialized
) struct NATTests {
    /// Two sites with a node each, and between them a segment with the server.
    private final class Sites {
        let network: Network
        let server: NamespacedProcess
        let alice: NamespacedProcess
        let bob: NamespacedProcess

        init(_ first: NAT, _ second: NAT) async throws {
            network = try Network(["net", "nat1", "nat2", "host1", "host2"])
            do {
                try network.run(
                    "net",
                    "ip link add br0 type bridge\nip addr add 203.0.113.1/24 dev br0\nip link set br0 up"
                )
                for (number, nat) in [(1, first), (2, second)] { try Self.addSite(number, nat, network) }
                server = try network.probe("net", ["server", "203.0.113.1", network.folder])
                let started = try await server.next()
                let (key, url) = (started.authKey?.string ?? "", started.url?.string ?? "")
                alice = try network.probe("host1", ["node", url, key, "alice"])
                bob = try network.probe("host2", ["node", url, key, "bob"])
            } catch {
                network.remove()
                throw error
            }
        }

        private static func addSite(_ number: Int, _ nat: NAT, _ network: Network) throws {
            let (router, host) = ("nat\(number)", "host\(number)")
            try network.connect("net", "site\(number)", router, "pub")
            try network.connect(router, "lan", host, "eth0")
            try network.run("net", "ip link set site\(number) master br0")
            try network.run(
                router,
                """
                ip addr add 203.0.113.\(10 * number)/24 dev pub
                ip addr add 192.168.\(number).1/24 dev lan
                sysctl -q -w net.ipv4.ip_forward=1
                """
            )
            try network.filter(router, nat.rules(lan: "192.168.\(number).2"))
            try network.run(
                host,
                "ip addr add 192.168.\(number).2/24 dev eth0\nip route add default via 192.168.\(number).1"
            )
        }
    }

    @Test(arguments: [
        (NAT.independent, NAT.independent, "direct"), (.open, .dependent, "direct"), (.dependent, .dependent, "derp:"),
    ])
    func `the path is as good as the NATs allow`(first: NAT, second: NAT, expected: String) async throws {
        let sites = try await Sites(first, second)
        defer { sites.network.remove() }
        let call = try await sites.alice.ask("call 15")
        #expect(call.isMet?.bool == true, "\(call)")
        let reached = try await sites.alice.ask("until \(expected) 10")
        #expect(reached.isMet?.bool == true, "\(reached)")
        guard expected != "direct" else { return }
        // Two more rounds of pings, which must not find what is not there.
        let later = try await sites.alice.ask("until direct 2")
        #expect(later.isMet?.bool == false, "\(later)")
        let answered = try await sites.bob.ask("call 5")
        #expect(answered.isMet?.bool == true, "\(answered)")
    }

    @Test func `a direct path survives a new address, and the end of the server with its relay`() async throws {
        let sites = try await Sites(.independent, .independent)
        defer { sites.network.remove() }
        let first = try await sites.alice.ask("until direct 20")
        #expect(first.isMet?.bool == true, "\(first)")
        try sites.network.run(
            "host1",
            """
            ip addr flush dev eth0
            ip addr add 192.168.1.7/24 dev eth0
            ip route add default via 192.168.1.1
            """
        )
        // The old mapping still stands at the router; the path must go by the new address all the same.
        let relayed = try await sites.alice.ask("call 10")
        #expect(relayed.isMet?.bool == true, "\(relayed)")
        let second = try await sites.alice.ask("until direct 15")
        #expect(second.isMet?.bool == true, "\(second)")
        sites.server.stop()
        for side in [sites.alice, sites.bob] {
            let alone = try await side.ask("call 5")
            #expect(alone.isMet?.bool == true, "\(alone)")
            #expect(alone.path?.string == "direct")
        }
    }

    @Test func `a relay that was out of reach is found again`() async throws {
        let sites = try await Sites(.dependent, .dependent)
        defer { sites.network.remove() }
        let first = try await sites.alice.ask("call 15")
        #expect(first.isMet?.bool == true, "\(first)")
        // The relay refuses everybody and forgets whom it knew.
        try sites.network.filter(
            "net",
            """
            table ip dead {
              chain in {
                type filter hook input priority 0
                tcp dport 8443 reject with tcp reset
              }
            }

            """
        )
        let cut = try await sites.alice.ask("call 1")
        #expect(cut.isMet?.bool == false, "\(cut)")
        try sites.network.run("net", "nft delete table ip dead")
        let again = try await sites.alice.ask("call 15")
        #expect(again.isMet?.bool == true, "\(again)")
    }
}
