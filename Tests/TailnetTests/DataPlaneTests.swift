import NIOCore
import NIOEmbedded
import NetTypes
import NetWire
import Tailcfg
import Testing
import WarrenModel

@testable import Tailnet

@Suite("DataPlane between guests", .timeLimit(.minutes(1)))
struct DataPlaneTests {
    private let own4 = "100.64.0.1"
    private let peer4 = "100.64.0.2"
    private let own6 = "fd7a:115c:a1e0::1"
    private let peer6 = "fd7a:115c:a1e0::2"

    /// The type and code of the ICMP message in a packet.
    private func icmp(_ packet: [UInt8]?) throws -> [UInt8] {
        let packet = try #require(packet)
        let parsed = try ParsedPacket(parsing: packet)
        #expect(parsed.isICMPv4 || parsed.isICMPv6)
        return [parsed.icmpType, parsed.icmpCode]
    }

    @Test func `packets pass between guests in both families`() throws {
        let bench = try PlaneNetworkBench(2)
        bench.apply()
        let (near, far) = (bench.stations[0], bench.stations[1])
        for (source, destination) in [(own4, peer4), (own6, peer6)] {
            let packet = try TestPackets.icmp(source, destination, type: source == own4 ? 8 : 128)
            try near.guestSends(packet)
            try bench.settle()
            #expect(try far.guestGot() == [packet])
        }
    }

    @Test(arguments: ["8.8.8.8", "192.168.7.1", "2001:db8::1"])
    func `without a route the guest is told at once, and flooding it gets no flood of answers`(_ address: String) throws
    {
        let bench = try PlaneNetworkBench(2)
        bench.apply()
        let near = bench.stations[0]
        let isIPv4 = !address.contains(":")
        let packet = try TestPackets.tcp(isIPv4 ? own4 : own6, address, port: 443)
        try near.guestSends(packet)
        #expect(try icmp(near.guestGot().first) == (isIPv4 ? [3, 13] : [1, 1]))
        for _ in 0..<1000 { try near.guestSends(packet) }
        let answers = try near.guestGot().count
        #expect(answers > 1 && answers < 200)
        #expect(near.plane.dropsByReason["no-route"] == 1001)
    }

    @Test func `an address of the tailnet that nobody has is a host that does not answer`() throws {
        let bench = try PlaneNetworkBench(2)
        bench.apply()
        try bench.stations[0].guestSends(try TestPackets.tcp(own4, "100.64.0.77", port: 443))
        #expect(try icmp(bench.stations[0].guestGot().first) == [3, 1])
    }

    @Test func `internet packets take the exit node, and none when it stops serving`() throws {
        let bench = try PlaneNetworkBench(2)
        let (near, far) = (bench.stations[0], bench.stations[1])
        // The peer's guest is asked to route everything, which only a hand-made map can do.
        far.node.allowedIPs = far.node.addresses + [.everyIPv4, .everyIPv6]
        bench.introduce()
        near.preferences.exitNode = .named("node2")
        far.preferences.advertiseRoutes = [.everyIPv4, .everyIPv6]
        bench.apply()
        let packet = try TestPackets.udp("\(own4):40000", "8.8.8.8:53")
        try near.guestSends(packet)
        try bench.settle()
        #expect(try far.guestGot() == [packet])
        let answer = try TestPackets.udp("8.8.8.8:53", "\(own4):40000")
        try far.guestSends(answer)
        try bench.settle()
        #expect(try near.guestGot() == [answer])

        near.map.peers[2]?.allowedIPs = far.node.addresses
        near.apply()
        try near.guestSends(packet)
        try bench.settle()
        #expect(try far.guestGot().isEmpty)
        #expect(try icmp(near.guestGot().first) == [3, 13])
        // The peer itself is still there.
        try near.guestSends(try TestPackets.icmp(own4, peer4, type: 8))
        try bench.settle()
        #expect(try far.guestGot().count == 1)
    }

    @Test func `an advertised route that is approved reaches the guest, and the guest may answer for it`() throws {
        let bench = try PlaneNetworkBench(2)
        let (near, far) = (bench.stations[0], bench.stations[1])
        let subnet = try #require(IPPrefix("192.168.7.0/24"))
        let packet = try TestPackets.udp("\(own4):40000", "192.168.7.9:53")
        far.preferences.advertiseRoutes = [subnet]
        near.preferences.acceptRoutes = true
        far.node.allowedIPs = far.node.addresses + [subnet]
        bench.introduce()
        // The router itself does not know yet that it is approved.
        far.map.selfNode.allowedIPs = far.node.addresses
        bench.apply()
        try near.guestSends(packet)
        try bench.settle()
        #expect(try far.guestGot().isEmpty)
        bench.introduce()
        bench.apply()
        try near.guestSends(packet)
        try bench.settle()
        #expect(try far.guestGot() == [packet])
        let answer = try TestPackets.udp("192.168.7.9:53", "\(own4):40000")
        try far.guestSends(answer)
        try bench.settle()
        #expect(try near.guestGot() == [answer])
        // Who does not accept routes has none, and takes nothing from there.
        near.preferences.acceptRoutes = false
        near.apply()
        try near.guestSends(packet)
        #expect(try icmp(near.guestGot().first) == [3, 13])
        try far.guestSends(answer)
        try bench.settle()
        #expect(try near.guestGot().isEmpty)
    }

    @Test func `of two routers the one that goes offline is replaced, and both may send`() throws {
        let bench = try PlaneNetworkBench(3)
        let subnet = try #require(IPPrefix("192.168.7.0/24"))
        let packet = try TestPackets.udp("\(own4):40000", "192.168.7.9:53")
        let near = bench.stations[0]
        for router in bench.stations.dropFirst() {
            router.preferences.advertiseRoutes = [subnet]
            router.node.allowedIPs = router.node.addresses + [subnet]
            router.node.online = true
        }
        bench.introduce()
        bench.apply()
        try near.guestSends(packet)
        try bench.settle()
        #expect(try bench.stations[1].guestGot() == [packet])
        near.map.peers[2]?.online = false
        near.apply()
        try near.guestSends(packet)
        try bench.settle()
        #expect(try bench.stations[2].guestGot() == [packet])
        #expect(try bench.stations[1].guestGot().isEmpty)
        let answer = try TestPackets.udp("192.168.7.9:53", "\(own4):40000")
        try bench.stations[1].guestSends(answer)
        try bench.settle()
        #expect(try near.guestGot() == [answer])
    }

    @Test func `shields up let answers in and refuse the rest, from the next packet on`() throws {
        let bench = try PlaneNetworkBench(2)
        let (near, far) = (bench.stations[0], bench.stations[1])
        bench.apply()
        let question = try TestPackets.udp("\(peer4):5000", "\(own4):53")
        try far.guestSends(question)
        try bench.settle()
        #expect(try near.guestGot() == [question])
        near.preferences.shieldsUp = true
        near.apply()
        try far.guestSends(question)
        try far.guestSends(try TestPackets.tcp(peer4, own4, port: 22))
        try bench.settle()
        #expect(try near.guestGot().isEmpty)
        let own = try TestPackets.udp("\(own4):6000", "\(peer4):53")
        let answer = try TestPackets.udp("\(peer4):53", "\(own4):6000")
        try near.guestSends(own)
        try far.guestSends(answer)
        try bench.settle()
        #expect(try near.guestGot() == [answer])
        near.preferences.shieldsUp = false
        near.apply()
        try far.guestSends(question)
        try bench.settle()
        #expect(try near.guestGot() == [question])
    }

    @Test func `what is refused is said by TSMP with its reason, to a jailed peer nothing`() throws {
        let bench = try PlaneNetworkBench(2)
        let (near, far) = (bench.stations[0], bench.stations[1])
        near.map.packetFilters = [:]
        bench.apply()
        let attempt = try TestPackets.tcp(peer4, own4, port: 22)
        // TSMP never reaches a guest, so the filter of the asking node counts what it took.
        func received() -> UInt64 { far.plane.tsmpReceived }
        try far.guestSends(attempt)
        try bench.settle()
        #expect(received() == 1)
        near.map.peers[2]?.isJailed = true
        near.apply()
        try far.guestSends(attempt)
        try bench.settle()
        #expect(received() == 1)
        #expect(try near.guestGot().isEmpty && far.guestGot().isEmpty)
    }

    @Test(arguments: [(true, 1240), (false, 1220)])
    func `the segment size of a SYN fits the tunnel, both ways`(_ isIPv4: Bool, _ expected: UInt16) throws {
        let bench = try PlaneNetworkBench(2)
        let (near, far) = (bench.stations[0], bench.stations[1])
        bench.apply()
        for size: UInt16 in [1460, 536] {
            for alignment in [0, 1] {
                let syn = try SegmentSizePackets.syn(
                    isIPv4 ? own4 : own6,
                    isIPv4 ? peer4 : peer6,
                    size: size,
                    leadingNoOperations: alignment
                )
                #expect(try SegmentSizePackets.isChecksumRight(syn))
                try near.guestSends(syn)
                try bench.settle()
                let got = try #require(try far.guestGot().first)
                #expect(try SegmentSizePackets.size(in: got, leadingNoOperations: alignment) == min(size, expected))
                #expect(try SegmentSizePackets.isChecksumRight(got))
            }
        }
    }

    @Test func `pings through the tunnel come back, and their answers stay with the node`() throws {
        let bench = try PlaneNetworkBench(2)
        let (near, far) = (bench.stations[0], bench.stations[1])
        bench.apply()
        for address in [peer4, peer6] {
            let tsmp = near.plane.ping(.tsmp, try #require(IPAddress(address)))
            try bench.settle()
            #expect(try tsmp.wait().peer == 2)
            let echo = near.plane.ping(.icmp, try #require(IPAddress(address)))
            try bench.settle()
            let request = try #require(try far.guestGot().first)
            let reply = try SegmentSizePackets.echoReply(to: request)
            try far.guestSends(reply)
            try bench.settle()
            #expect(try echo.wait().address.description == address)
            #expect(try near.guestGot().isEmpty)
            // The same reply once more answers nothing of ours any more.
            try far.guestSends(reply)
            try bench.settle()
            #expect(try near.guestGot() == [reply])
        }
    }

    @Test func `there is an end to how many pings may wait, and none outlives the node`() throws {
        let bench = try PlaneNetworkBench(2)
        let near = bench.stations[0]
        near.apply()
        let address = try #require(IPAddress(peer4))
        let waiting = (0..<PingBook.limit).map { _ in near.plane.ping(.tsmp, address) }
        #expect(throws: PingError.tooMany) { try near.plane.ping(.icmp, address).wait() }
        #expect(throws: PingError.noSuchPeer) { try near.plane.ping(.tsmp, .v4(.loopback)).wait() }
        near.plane.stop()
        for ping in waiting { #expect(throws: PingError.stopped) { try ping.wait() } }
    }

    @Test func `a ping that has waited long enough is given up, and only its peer can answer it`() throws {
        let loop = EmbeddedEventLoop()
        let promise = loop.makePromise(of: PingOutcome.self)
        promise.succeed(PingOutcome(peer: 2, address: .v4(.loopback), latency: .zero))
        let asked = MonotonicTime(nanoseconds: 5)
        let entry = PingBook.Entry(peer: 2, address: .v4(.loopback), sentAt: asked, promise: promise)
        var book = PingBook()
        book.insert(entry, token: 7)
        #expect(book.deadline == asked + PingBook.patience)
        #expect(book.take(7, from: 3)?.peer == nil && book.take(8, from: 2)?.peer == nil)
        #expect(book.takeOverdue(at: asked + PingBook.patience - .nanoseconds(1)).isEmpty)
        #expect(book.takeOverdue(at: asked + PingBook.patience).count == 1)
        #expect(book.isEmpty && book.deadline == nil)
    }

    @Test func `TSMP behind a fragment header is not for the guest`() throws {
        let bench = try PlaneNetworkBench(2)
        let (near, far) = (bench.stations[0], bench.stations[1])
        bench.apply()
        let ping: [UInt8] = [0x70, 1, 2, 3, 4, 5, 6, 7, 8]
        let hidden = try TestPackets.packet(.ipv6Fragment, peer6, own6, payload: [99, 0, 0, 0, 0, 0, 0, 1] + ping)
        // A guest cannot send it, so its node does.
        let sender = try #require(far.plane.peers.values.first { $0.id == 1 })
        far.plane.send(hidden.span, to: sender, now: MonotonicTime(nanoseconds: NIODeadline.now().uptimeNanoseconds))
        far.plane.guestReadComplete()
        try bench.settle()
        #expect(near.plane.tsmpReceived == 1)
        #expect(try near.guestGot().isEmpty)
    }
}
