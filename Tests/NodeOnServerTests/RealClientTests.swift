import Coordination
import Foundation
import Tailnet
import TestSupport
import Testing
import WarrenModel

@Suite(
    "Real DHCP clients behind a node",
    .timeLimit(.minutes(5)),
    .enabled(if: NamespaceGuest.isPossible, "needs root, /dev/net/tun, unshare, python3, busybox and dig")
)
struct RealClientTests {
    /// A node whose guest is a namespace, while `body` runs.
    private func withMachine(
        _ name: String,
        _ server: CoordinationServer,
        _ body: (NamespaceGuest, Machine) async throws -> Void
    ) async throws {
        let guest = try await NamespaceGuest()
        do {
            let machine = try await Machine(
                name,
                url: server.serverURL,
                authKey: try await server.key(),
                nicSocketPath: guest.path
            )
            try await machine.running {
                _ = try await machine.ipv4(peers: 0)
                try await body(guest, machine)
            }
        } catch {
            await guest.end()
            throw error
        }
        await guest.end()
    }

    private func addresses(_ machine: Machine) async throws -> (ipv4: String, ipv6: String) {
        let all = try await machine.report { $0.status.addresses.count == 2 }.status.addresses
        return (
            try #require(all.first { !$0.contains(":") }), try #require(all.first { $0.contains(":") })
        )
    }

    /// Tries a condition of the guest's, every tenth of a second, for so long.
    private func wait(_ guest: NamespaceGuest, seconds: Int = 10, for condition: String) async throws {
        let line = "for i in $(seq \(seconds * 10)); do \(condition) && exit 0; sleep 0.1; done; \(Self.state); exit 1"
        _ = try await guest.say(line, seconds: seconds + 10)
    }

    // For the message of a failure.
    private static let state =
        "ip addr; ip route; ip -6 route; cat /etc/resolv.conf; tail -n 50 /run/*.log; cat /run/systemd/netif/links/*"

    @Test func `busybox udhcpc with the micro image's script`() async throws {
        try await Tailnets.withServer { server in
            try await withMachine("web", server) { guest, machine in
                let (ipv4, _) = try await addresses(machine)
                let script = "\(GuestPrerequisites.packageRoot)/deploy/images/micro/udhcpc.script"
                _ = try await guest.say(
                    """
                    busybox udhcpc -f -q -n -t 5 -T 1 -i eth0 -s \(script) -O search -O mtu -O hostname -O staticroutes
                    """
                )
                #expect(try await guest.say("ip -4 -o addr show eth0").contains(" \(ipv4)/32 "))
                #expect(try await guest.say("ip -4 route").hasPrefix("default via 100.100.100.100 dev eth0"))
                #expect(try await guest.say("cat /sys/class/net/eth0/mtu; hostname") == "1280\nweb\n")
                let resolver = try await guest.say("cat /etc/resolv.conf")
                #expect(resolver.hasPrefix("search ") && resolver.contains("nameserver 100.100.100.100\n"))
                #expect(try await guest.say("busybox ping -c 1 -W 5 100.100.100.100").contains("1 packets received"))
                #expect(try await guest.say("dig +short +search +tries=1 web") == "\(ipv4)\n")
            }
        }
    }

    @Test func `a kernel alone has its router and resolver, and one set up by hand its peers`() async throws {
        try await Tailnets.withServer { server in
            try await withMachine("web", server) { guest, machine in
                let (ipv4, ipv6) = try await addresses(machine)
                try await wait(guest, for: "ip -6 route | grep -q 'default via fe80::57:52ff:fe00:1 dev eth0 proto ra'")
                #expect(try await guest.say("cat /proc/sys/net/ipv6/conf/eth0/mtu") == "1280\n")
                #expect(try await !guest.say("ip -6 -o addr show eth0").contains("fd7a:"))
                // From its link-local address, for want of another.
                let name = try await guest.say("dig +short +tries=1 @fd7a:115c:a1e0::53 web.warren.internal")
                #expect(name == "\(ipv4)\n")
                _ = try await guest.say("ip -6 addr add \(ipv6)/48 dev eth0")
                _ = try await guest.run("busybox ping -6 -c 1 -W 1 fd7a:115c:a1e0::99")
                let neighbor = try await guest.say("ip -6 neigh show fd7a:115c:a1e0::99")
                #expect(neighbor.contains("lladdr 02:57:52:00:00:01"), "\(neighbor)")
            }
        }
    }

    @Test(.enabled(if: NamespaceGuest.hasClients, "needs isc-dhcp-client and systemd"))
    func `dhclient and systemd-networkd, whose guests reach each other by IPv4, IPv6 and name`() async throws {
        try await Tailnets.withServer { server in
            try await withMachine("web", server) { web, webMachine in
                try await withMachine("db", server) { db, dbMachine in
                    let (webIPv4, webIPv6) = try await addresses(webMachine)
                    let (dbIPv4, dbIPv6) = try await addresses(dbMachine)
                    try await checkDHClient(web, webIPv4, webIPv6)
                    try await checkDHClientMemory(web, webIPv4, webIPv6)
                    try await checkNetworkd(db, dbIPv4, dbIPv6)
                    _ = try await webMachine.ipv4(peers: 1)
                    _ = try await dbMachine.ipv4(peers: 1)
                    for target in [dbIPv4, dbIPv6, "db"] {
                        let pinged = try await web.say("busybox ping -c 1 -W 5 \(target)")
                        #expect(pinged.contains("1 packets received"), "\(pinged)")
                    }
                    #expect(try await db.say("busybox ping -c 1 -W 5 \(webIPv6)").contains("1 packets received"))
                    // The largest packet there is.
                    #expect(
                        try await web.say("busybox ping -6 -c 1 -W 5 -s 1232 \(dbIPv6)").contains("1 packets received")
                    )
                    #expect(try await web.say("dig +short +search +tries=1 @fd7a:115c:a1e0::53 db") == "\(dbIPv4)\n")
                    #expect(try await web.say("dig +short +tries=1 -x \(dbIPv6)").hasPrefix("db."))
                }
            }
        }
    }

    private func checkDHClient(_ guest: NamespaceGuest, _ ipv4: String, _ ipv6: String) async throws {
        _ = try await guest.say("\(NamespaceGuest.dhclient) -4 -1 -v eth0 >/run/dhclient4.log 2>&1", seconds: 20)
        try await wait(guest, for: "ip -4 -o addr show eth0 | grep -q ' \(ipv4)/32 '")
        #expect(try await guest.say("ip -4 route").contains("default via 100.100.100.100 dev eth0"))
        #expect(try await guest.say("cat /sys/class/net/eth0/mtu") == "1280\n")
        let resolver = try await guest.say("cat /etc/resolv.conf")
        #expect(resolver.contains("search ") && resolver.contains("nameserver 100.100.100.100\n"))
        _ = try await guest.say("\(NamespaceGuest.dhclient) -6 -1 -v eth0 >/run/dhclient6.log 2>&1", seconds: 20)
        try await wait(guest, for: "ip -6 -o addr show eth0 | grep -q ' \(ipv6)/128 '")
        try await wait(guest, for: "ip -6 route | grep -q 'default via fe80::57:52ff:fe00:1 dev eth0 proto ra'")
        #expect(try await guest.say("cat /etc/resolv.conf").contains("nameserver fd7a:115c:a1e0::53\n"))
    }

    /// A client that remembers its address is agreed with, one that remembers another begins again.
    private func checkDHClientMemory(_ guest: NamespaceGuest, _ ipv4: String, _ ipv6: String) async throws {
        func again(_ family: String, remembering change: String = "") async throws -> String {
            let client = "\(NamespaceGuest.dhclient) \(family)"
            let leases = "/var/lib/dhcp/dhclient\(family == "-6" ? "6" : "").leases"
            let edit = change.isEmpty ? "true" : "sed -i 's/\(change)/' \(leases)"
            return try await guest.say("\(client) -x eth0; \(edit); \(client) -1 -v eth0 2>&1", seconds: 20)
        }
        let kept = try await again("-4")
        #expect(kept.contains("DHCPACK") && !kept.contains("DHCPDISCOVER"), "\(kept)")
        let moved = try await again("-4", remembering: "\(ipv4);/100.64.77.77;")
        #expect(moved.contains("DHCPNAK from 100.100.100.100") && moved.contains("bound to \(ipv4)"), "\(moved)")
        try await wait(guest, for: "ip -4 -o addr show eth0 | grep -q ' \(ipv4)/32 '")
        let confirmed = try await again("-6")
        #expect(confirmed.contains("XMT: Confirm") && !confirmed.contains("XMT: Solicit"), "\(confirmed)")
        let refused = try await again("-6", remembering: "iaaddr \(ipv6)/iaaddr fd7a:115c:a1e0::7777")
        #expect(refused.contains("XMT: Confirm") && refused.contains("XMT: Solicit"), "\(refused)")
        try await wait(guest, for: "ip -6 -o addr show eth0 | grep -q ' \(ipv6)/128 '")
        _ = try await guest.say("\(NamespaceGuest.dhclient) -6 -r eth0 2>&1", seconds: 20)
        #expect(try await !guest.say("ip -6 -o addr show eth0").contains(ipv6))
        _ = try await again("-6")
        try await wait(guest, for: "ip -6 -o addr show eth0 | grep -q ' \(ipv6)/128 '")
    }

    private func checkNetworkd(_ guest: NamespaceGuest, _ ipv4: String, _ ipv6: String) async throws {
        _ = try await guest.say(
            """
            mkdir -p /etc/systemd/network /run/systemd/netif/links /run/systemd/netif/leases /run/systemd/netif/lldp
            chown -R systemd-network:systemd-network /run/systemd/netif
            printf '[Match]\\nName=eth0\\n[Network]\\nDHCP=yes\\nIPv6AcceptRA=yes\\n[DHCPv4]\\nUseMTU=yes\\nUseDomains=yes\\n' \
                >/etc/systemd/network/10-eth0.network
            SYSTEMD_LOG_TARGET=console \(NamespaceGuest.networkd) >/run/networkd.log 2>&1 &
            """
        )
        try await wait(guest, for: "ip -4 -o addr show eth0 | grep -q ' \(ipv4)/32 '")
        try await wait(guest, for: "ip -6 -o addr show eth0 | grep -q ' \(ipv6)/128 '")
        try await wait(guest, for: "ip -6 route | grep -q 'default via fe80::57:52ff:fe00:1 dev eth0 proto ra'")
        try await wait(guest, for: "ip -4 route | grep -q 'default via 100.100.100.100 dev eth0 proto dhcp'")
        #expect(try await guest.say("cat /sys/class/net/eth0/mtu") == "1280\n")
        let state = try await guest.say("cat /run/systemd/netif/links/2")
        #expect(state.contains("100.100.100.100") && state.contains("fd7a:115c:a1e0::53"), "\(state)")
        let domains = try #require(state.split(separator: "\n").first { $0.hasPrefix("DOMAINS=") })
        #expect(domains.count > "DOMAINS=".count, "\(state)")
    }
}
