import Foundation
import GuestNetwork
import NIOCore
import NIOPosix
import NetTypes
import NetWire
import QEMU
import TestSupport
import Testing
import WarrenModel

/// A guest's NIC socket with a guest link behind it, as a node has it, and nothing further away.
private final class LinkPeer: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let link: GuestLink
    private var decoder = NICFrameDecoder()
    private var batch = NICFrameBatch()

    init(_ addressing: GuestAddressing, zone: DNSZone) {
        link = GuestLink { 1 }
        link.configure(addressing)
        link.setZone(zone)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        decoder.append(unwrapInboundIn(data))
        while let frame = try? decoder.next() {
            var buffer = frame
            switch link.receive(frame: &buffer) {
            case .reply: batch.append(frame: buffer.readableBytesUInt8Span)
            case .forward:
                guard let error = link.error(.networkUnreachable, for: buffer.readableBytesUInt8Span) else { break }
                batch.append(frame: error.readableBytesUInt8Span)
            case .resolve, .stream, .consumed, .drop: break
            }
        }
        if !batch.isEmpty { context.writeAndFlush(wrapOutboundOut(batch.take()), promise: nil) }
    }

    func channelActive(context: ChannelHandlerContext) { tell(link.announcement(), context) }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if let addressing = event as? GuestAddressing { tell(link.configure(addressing), context) }
    }

    private func tell(_ frame: ByteBuffer?, _ context: ChannelHandlerContext) {
        guard let frame else { return }
        batch.append(frame: frame.readableBytesUInt8Span)
        context.writeAndFlush(wrapOutboundOut(batch.take()), promise: nil)
    }
}

@Suite("A guest and its link", .timeLimit(.minutes(5)), .enabled(if: GuestPrerequisites.areMet))
struct GuestNetworkTests {
    @Test func `the guest is what DHCP says, again at once when the link comes back`() async throws {
        let domain = try #require(DNSName("tail.example")), db = try #require(DNSName("db.tail.example"))
        let own = try #require(DNSName("web.tail.example"))
        let zone = DNSZone(
            own: .init(name: own, addresses: [.v4(IPv4Address(100, 64, 0, 7))]),
            peers: [DNSZone.Node(name: db, addresses: [.v4(IPv4Address(100, 64, 0, 9))])],
            isProxied: true
        )
        var addressing = GuestAddressing(
            ipv4: IPv4Address(100, 64, 0, 7),
            ipv6: IPv6Address("fd7a:115c:a1e0::7"),
            hostname: "web",
            domain: domain,
            searchDomains: [domain]
        )
        let first = addressing
        try await Guest.run { guest in
            let nic = try await guest.directory.connect(to: .nic, group: MultiThreadedEventLoopGroup.singleton) {
                channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(LinkPeer(first, zone: zone))
                }
            }
            let agent = guest.agent
            func run(_ line: String) async throws -> String {
                let answer = try await guest.shell(agent, line)
                return String(decoding: answer.stdout + answer.stderr, as: UTF8.self)
            }
            func waitForAddresses(_ ipv4: String, _ ipv6: String) async throws {
                let found =
                    "ip addr show eth0 | grep -q 'inet \(ipv4)/32' && ip addr show eth0 | grep -q 'inet6 \(ipv6)/128'"
                let line = "for i in $(seq 200); do \(found) && exit 0; sleep 0.05; done; ip addr; exit 1"
                let answer = try await guest.shell(agent, line)
                #expect(answer.exitCode == 0, "\(String(decoding: answer.stdout, as: UTF8.self))")
            }
            try await agent.waitUntilReady(timeout: .seconds(60))
            try await waitForAddresses("100.64.0.7", "fd7a:115c:a1e0::7")
            #expect(try await run("ip route show default").hasPrefix("default via 100.100.100.100 dev eth0"))
            let router = try await run("ip -6 route show default")
            #expect(router.hasPrefix("default via fe80::57:52ff:fe00:1 dev eth0"), "\(router)")
            let resolvers = "nameserver 100.100.100.100\nnameserver fd7a:115c:a1e0::53\n"
            // Each client writes its resolver after its address.
            _ = try await run(
                "for i in $(seq 100); do [ $(grep -c name /etc/resolv.conf) = 2 ] && exit; sleep 0.05; done"
            )
            #expect(try await run("cat /etc/resolv.conf") == "search tail.example\n" + resolvers)
            #expect(try await run("cat /sys/class/net/eth0/mtu; hostname") == "1280\nweb\n")
            let lookup = try await run("nslookup db; ping -c 1 -W 5 100.100.100.100")
            #expect(lookup.contains("100.64.0.9") && lookup.contains("db.tail.example"), "\(lookup)")
            let overIPv6 = try await run("nslookup db fd7a:115c:a1e0::53; ping -c 1 -W 5 fd7a:115c:a1e0::53")
            #expect(overIPv6.contains("100.64.0.9") && overIPv6.contains("1 packets received"), "\(overIPv6)")
            let nowhere = try await run("ping -c 1 -W 5 db")
            #expect(nowhere.contains("100.64.0.9") && !nowhere.contains("1 packets received"), "\(nowhere)")
            #expect(
                try await run("wget -q -O - http://127.0.0.1/20MiB | wc -c; wget -q -O - http://127.0.0.1/hostname")
                    == "20971520\nweb\n"
            )

            let monitor = try await QMPClient.connect(
                to: guest.directory,
                group: MultiThreadedEventLoopGroup.singleton
            ) { _ in }
            try await monitor.setLink(up: false)
            addressing.ipv4 = IPv4Address(100, 64, 0, 8)
            addressing.ipv6 = IPv6Address("fd7a:115c:a1e0::8")
            addressing.hostname = "renamed"
            nic.pipeline.fireUserInboundEventTriggered(addressing)
            // The guest's driver looks at the link when it gets to it; one that it never saw down is no new one.
            let seen =
                "for i in $(seq 200); do [ $(cat /sys/class/net/eth0/carrier) = 0 ] && exit 0; sleep 0.05; done; exit 1"
            #expect(try await guest.shell(agent, seen).exitCode == 0)
            try await monitor.setLink(up: true)
            try await waitForAddresses("100.64.0.8", "fd7a:115c:a1e0::8")
            #expect(try await run("hostname; ip -4 addr show eth0 | grep -c inet") == "renamed\n1\n")
            #expect(try await run("ip -6 addr show eth0 scope global | grep -c inet6") == "1\n")
            await monitor.close()
            try await nic.close()
        }
    }
}
