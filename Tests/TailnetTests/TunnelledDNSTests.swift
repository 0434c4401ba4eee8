import GuestNetwork
import NIOCore
import NetTypes
import NetWire
import TCP
import Tailcfg
import Testing

@testable import Tailnet

@Suite("The guest's resolver and the resolvers of its tailnet") struct TunnelledDNSTests {
    private static let service = AddressPort(.v4(TailnetAddresses.serviceIPv4), port: 53)
    private static let guest = AddressPort(.v4(NodePair.nearAddress), port: 40_000)
    private static let resolver = AddressPort(.v4(NodePair.farAddress), port: 53)

    private func config(_ address: String = "\(NodePair.farAddress)") -> DNSConfig {
        var config = DNSConfig()
        config.resolvers = [DNSResolver(address: address)]
        config.proxied = true
        return config
    }

    private func query(_ name: String = "www.example.com", payload: UInt16? = nil) throws -> [UInt8] {
        let question = DNSQuestion(name: try #require(DNSName(name)), type: .txt)
        var message = DNSMessage(identifier: 77, flags: DNSFlags(rawValue: 0x0100), questions: [question])
        if let payload {
            message.additionals = [
                DNSRecord(name: .root, recordClass: payload, lifetimeSeconds: 0, content: .other(.opt, []))
            ]
        }
        return message.bytes
    }

    private func answer(to query: [UInt8], octets: Int) throws -> [UInt8] {
        var message = try DNSMessage(parsing: query.span)
        message.flags.isResponse = true
        message.additionals = []
        let content = DNSRecord.Content.other(.txt, [UInt8](repeating: 7, count: octets))
        message.answers = [DNSRecord(name: message.questions[0].name, lifetimeSeconds: 60, content: content)]
        return message.bytes
    }

    private func datagram(_ payload: [UInt8], from source: AddressPort, to target: AddressPort) throws -> [UInt8] {
        let packet = UDPPacket.bytes(from: source, to: target, payload: payload.span)
        return try #require(packet)
    }

    private func read(_ bytes: [UInt8]) throws -> DNSMessage { try DNSMessage(parsing: bytes.span) }

    /// Has the near guest ask over UDP and the far guest answer, and returns what came back.
    private func ask(_ pair: NodePair, _ query: [UInt8], octets: Int) throws -> DNSMessage {
        try pair.near.send(datagram(query, from: Self.guest, to: Self.service))
        try pair.settle()
        let asked = try #require(try pair.far.takeDatagrams().first)
        #expect(asked.target == Self.resolver && asked.source.address == Self.guest.address)
        try pair.far.send(datagram(answer(to: asked.payload, octets: octets), from: asked.target, to: asked.source))
        try pair.settle()
        return try read(try whole(pair.near))
    }

    /// The payload of the one datagram of the service that reached the near guest, put together again if need be.
    private func whole(_ side: NodePair.Side) throws -> [UInt8] {
        defer { side.packets.removeAll() }
        var transport: [UInt8] = []
        for packet in side.packets {
            let header = try IPv4Header(parsing: packet.span)
            #expect(header.source == TailnetAddresses.serviceIPv4 && header.totalByteCount <= 1280)
            #expect(header.fragmentOffset == transport.count)
            transport += packet[20...]
        }
        let header = try UDPHeader(parsing: transport.span)
        #expect(header.sourcePort == 53 && header.destinationPort == Self.guest.port)
        return Array(transport[8...])
    }

    @Test func `a name outside the netmap is asked for through the tunnel`() throws {
        let pair = try NodePair(config())
        let message = try ask(pair, query(), octets: 4)
        #expect(message.identifier == 77 && message.answers.count == 1)
        #expect(pair.near.plane.flows.isEmpty)
        let report = pair.near.plane.snapshot().dns
        #expect(report.resolvers == ["\(NodePair.farAddress)"] && report.forwards)
    }

    @Test func `an answer larger than the link takes comes in fragments, or truncated to who cannot take it`() throws {
        let pair = try NodePair(config())
        // What the far side sends is cut by its own guest's limits, so that the answer must still fit one packet there.
        let large = try ask(pair, query(payload: 4_096), octets: 1_150)
        #expect(large.answers.count == 1 && !large.flags.isTruncated)
        let small = try ask(pair, query(), octets: 1_150)
        #expect(small.answers.isEmpty && small.flags.isTruncated)
    }

    @Test func `without a resolver in the tailnet nothing leaves the node, and the guest hears so at once`() throws {
        let pair = try NodePair(config("8.8.8.8"))
        try pair.near.send(datagram(query(), from: Self.guest, to: Self.service))
        try pair.settle()
        #expect(try read(whole(pair.near)).flags.responseCode == .serverFailure)
        let far = try pair.far.takeDatagrams()
        #expect(far.isEmpty && pair.near.plane.flows.isEmpty)
        #expect(pair.near.plane.snapshot().dns.forwards == false)
    }

    @Test func `a name of the netmap needs nobody`() throws {
        let pair = try NodePair(config())
        let question = DNSQuestion(name: try #require(DNSName("node2.example.net")), type: .a)
        let query = DNSMessage(identifier: 5, flags: DNSFlags(rawValue: 0x0100), questions: [question]).bytes
        try pair.near.send(datagram(query, from: Self.guest, to: Self.service))
        try pair.settle()
        #expect(try read(whole(pair.near)).answers.map(\.content) == [.ipv4(NodePair.farAddress)])
    }

    @Test func `a guest over TCP gets an answer of any size, asked for over TCP`() throws {
        let pair = try NodePair(config())
        let server = FarServer(pair, port: 53) { try framed(answer(to: Array($0.dropFirst(2)), octets: 20_000)) }
        let octets = try throughTCP(pair, server, framed(query()))
        let message = try read(Array(octets.dropFirst(2)))
        #expect(octets.count > 20_000 && message.answers.count == 1 && message.identifier == 77)
    }

    @Test func `two queries at once on one connection are both answered`() throws {
        let pair = try NodePair(config())
        let server = FarServer(pair, port: 53) { try framed(answer(to: Array($0.dropFirst(2)), octets: 100)) }
        let octets = try throughTCP(pair, server, framed(query("node1.example.net")) + framed(query("b.example.org")))
        let first = Int(octets[0]) << 8 | Int(octets[1])
        let local = try read(Array(octets[2..<(2 + first)]))
        let remote = try read(Array(octets[(4 + first)...]))
        #expect(local.flags.isAuthoritative && local.questions[0].name == DNSName("node1.example.net"))
        #expect(remote.answers.count == 1 && remote.questions[0].name == DNSName("b.example.org"))
    }

    @Test func `a resolver that refuses UDP aloud is asked over TCP at once`() throws {
        let pair = try NodePair(config())
        let server = FarServer(pair, port: 53) { try framed(answer(to: Array($0.dropFirst(2)), octets: 50)) }
        try pair.near.send(datagram(query(), from: Self.guest, to: Self.service))
        try pair.settle()
        let asked = try #require(pair.far.packets.first)
        pair.far.packets.removeAll()
        let unreachable = ICMPv4Message(
            kind: .destinationUnreachable,
            code: ICMPv4Message.UnreachableCode.port
        )
        var payload = [UInt8](repeating: 0, count: 8 + 28)
        var elements = payload.mutableSpan
        var span = elements.mutableBytes
        unreachable.store(into: &span, at: 0, payload: asked.span.extracting(0..<28))
        let header = IPv4Header(
            ipProtocol: .icmpv4,
            source: NodePair.farAddress,
            destination: NodePair.nearAddress,
            payloadByteCount: payload.count
        )
        var packet = [UInt8](repeating: 0, count: 20)
        var headerElements = packet.mutableSpan
        var headerSpan = headerElements.mutableBytes
        header.store(into: &headerSpan, at: 0)
        packet += payload
        try pair.far.send(packet)
        for _ in 0..<20 where pair.near.packets.isEmpty {
            try pair.settle()
            try server.serve()
        }
        #expect(try read(whole(pair.near)).answers.count == 1)
    }

    @Test func `an exit node that can is asked over HTTP at its own address`() throws {
        let pair = try NodePair(config("8.8.8.8")) { node in
            node.capabilityVersion = 131
            var hostinfo = Hostinfo()
            hostinfo.services = [HostService(proto: "peerapi4", port: 4_000)]
            node.hostinfo = hostinfo
        }
        var heads: [String] = []
        let server = FarServer(pair, port: 4_000) { request in
            let end = try #require(request.firstRange(of: Array("\r\n\r\n".utf8)))
            heads.append(String(decoding: request[..<end.lowerBound], as: UTF8.self))
            let body = try answer(to: Array(request[end.upperBound...]), octets: 300)
            return Array(
                "HTTP/1.1 200 OK\r\nContent-Type: application/dns-message\r\nContent-Length: \(body.count)\r\n\r\n".utf8
            ) + body
        }
        try pair.near.send(datagram(query(), from: Self.guest, to: Self.service))
        for _ in 0..<20 where pair.near.packets.isEmpty {
            try pair.settle()
            try server.serve()
        }
        #expect(try read(whole(pair.near)).answers.count == 1)
        let head = try #require(heads.first)
        #expect(head.hasPrefix("POST /dns-query HTTP/1.1\r\n") && head.contains("\(NodePair.farAddress):4000"))
        #expect(head.lowercased().contains("content-type: application/dns-message"))
        #expect(head.lowercased().contains("accept: application/dns-message"))
    }

    @Test func `a guest that takes the port of one of the node's own flows has it`() throws {
        let pair = try NodePair(config())
        try pair.near.send(datagram(query(), from: Self.guest, to: Self.service))
        try pair.settle()
        let asked = try #require(try pair.far.takeDatagrams().first)
        try pair.near.send(datagram([1, 2, 3], from: asked.source, to: asked.target))
        try pair.settle()
        pair.far.packets.removeAll()
        try pair.far.send(datagram([4, 5, 6], from: asked.target, to: asked.source))
        try pair.settle()
        let back = try pair.near.takeDatagrams()
        #expect(back.map(\.payload).contains([4, 5, 6]))
    }

    private func framed(_ message: [UInt8]) -> [UInt8] {
        [UInt8(message.count >> 8), UInt8(message.count & 255)] + message
    }

    /// Has the near guest send octets to the resolver's TCP port, and returns all that comes until the resolver finishes.
    private func throughTCP(_ pair: NodePair, _ server: FarServer, _ octets: [UInt8]) throws -> [UInt8] {
        var now = MonotonicTime(nanoseconds: NIODeadline.now().uptimeNanoseconds)
        var client = TCPConnection(from: Self.guest, to: Self.service, initialSequence: 9, mtu: 1280, now: now)
        var received: [UInt8] = []
        _ = client.write(octets)
        client.finish()
        for _ in 0..<400 where !client.isReadFinished {
            for packet in client.takeOutgoing(now: now) { try pair.near.send(packet) }
            try pair.settle()
            try server.serve()
            now = MonotonicTime(nanoseconds: NIODeadline.now().uptimeNanoseconds)
            for packet in pair.near.packets {
                let parsed = try ParsedPacket(parsing: packet.span)
                if let segment = TCPSegment(parsing: packet.span, parsed) { client.receive(segment, now: now) }
            }
            pair.near.packets.removeAll()
            received += client.read()
        }
        #expect(client.failure == nil)
        return received
    }
}

/// A TCP server in the far guest that answers each connection's octets once.
final class FarServer {
    private let pair: NodePair
    private let port: UInt16
    private let answer: ([UInt8]) throws -> [UInt8]
    private var listener = TCPListener(capacity: 8, mtu: 1280, sendCapacity: 65_537, receiveCapacity: 65_535)

    init(_ pair: NodePair, port: UInt16, answer: @escaping ([UInt8]) throws -> [UInt8]) {
        (self.pair, self.port, self.answer) = (pair, port, answer)
    }

    /// Takes the packets for the port and answers.
    func serve() throws {
        let now = MonotonicTime(nanoseconds: NIODeadline.now().uptimeNanoseconds)
        for packet in pair.far.packets {
            let parsed = try ParsedPacket(parsing: packet.span)
            guard parsed.ipProtocol == .tcp, parsed.destinationPort == port,
                let id = listener.receive(packet.span, parsed, now: now)
            else { continue }
            guard let octets = listener.use(id, now: now, { $0.read() }), !octets.isEmpty else { continue }
            let reply = try answer(octets)
            _ = listener.use(id, now: now) { $0.write(reply) }
        }
        pair.far.packets.removeAll()
        for packet in listener.takeOutgoing() { try pair.far.send(packet) }
    }
}
