import GuestNetwork
import NetTypes
import NetWire
import Testing

@testable import Tailnet

@Suite("DNSForwarder") struct DNSForwarderTests {
    private static let first = AddressPort(.v4(IPv4Address(100, 64, 0, 53)), port: 53)
    private static let second = AddressPort(.v4(IPv4Address(10, 1, 2, 3)), port: 5353)
    private static let client = DNSClient.datagram(
        AddressPort(.v4(IPv4Address(100, 64, 0, 1)), port: 40_000),
        to: .v4(TailnetAddresses.serviceIPv4)
    )

    /// A forwarder with a clock, and what it has been told to do.
    private struct Bench {
        var forwarder = DNSForwarder()
        var now = MonotonicTime(nanoseconds: 1_000_000_000)
        var begun: [DNSExchange] = []
        var ended: [DNSExchange.ID] = []
        var answers: [[UInt8]] = []

        mutating func collect() {
            for action in forwarder.takeActions() {
                switch action {
                case .begin(let exchange): begun.append(exchange)
                case .end(let id): ended.append(id)
                case .answer(_, let message): answers.append(message)
                }
            }
        }

        mutating func ask(
            _ message: [UInt8],
            _ upstreams: [DNSUpstream],
            client: DNSClient = DNSForwarderTests.client,
            way: (IPAddress) -> DNSWay? = { _ in .tunnel }
        ) {
            let name = DNSName("www.example.com") ?? .root
            let query = DNSQuery(client: client, message: message, name: name, upstreams: upstreams)
            forwarder.ask(query, now: now, way: way)
            collect()
        }

        mutating func advance(_ duration: Duration) {
            now = now + duration
            while let due = forwarder.nextDeadline, due <= now {
                forwarder.tick(now: now)
                collect()
            }
        }

        mutating func receive(_ message: [UInt8], _ exchange: DNSExchange) {
            forwarder.received(message, in: exchange.id, now: now)
            collect()
        }
    }

    private static func read(_ bytes: [UInt8]) throws -> DNSMessage { try DNSMessage(parsing: bytes.span) }

    private static func query(payload: UInt16? = nil, identifier: UInt16 = 0x1234) throws -> [UInt8] {
        let question = DNSQuestion(name: try #require(DNSName("www.example.com")), type: .txt)
        var message = DNSMessage(identifier: identifier, flags: DNSFlags(rawValue: 0x0100), questions: [question])
        if let payload {
            message.additionals = [
                DNSRecord(name: .root, recordClass: payload, lifetimeSeconds: 0, content: .other(.opt, []))
            ]
        }
        return message.bytes
    }

    private static func answer(
        to exchange: DNSExchange,
        code: DNSResponseCode = .success,
        octets: Int = 4,
        truncated: Bool = false
    ) throws -> [UInt8] {
        var message = try Self.read(exchange.message)
        message.flags = DNSFlags(rawValue: 0x8180)
        message.flags.responseCode = code
        message.flags.isTruncated = truncated
        message.additionals = []
        if code == .success, !truncated {
            let content = DNSRecord.Content.other(.txt, [UInt8](repeating: 7, count: octets))
            message.answers = [DNSRecord(name: message.questions[0].name, lifetimeSeconds: 60, content: content)]
        }
        return message.bytes
    }

    @Test func `asks everyone at once under identifiers of its own, and the first good answer wins`() throws {
        var bench = Bench()
        bench.ask(try Self.query(), [.plain(Self.first), .plain(Self.second)])
        #expect(bench.begun.map(\.target) == [Self.first, Self.second])
        #expect(bench.begun.allSatisfy { $0.carrier == .datagram && $0.way == .tunnel })
        #expect(bench.begun.allSatisfy { $0.message.dropFirst(2) == (try? Self.query())?.dropFirst(2) })
        bench.receive(try Self.answer(to: bench.begun[1]), bench.begun[1])
        #expect(bench.answers.count == 1)
        let answer = try Self.read(#require(bench.answers.first))
        #expect(answer.identifier == 0x1234 && answer.answers.count == 1)
        #expect(Set(bench.ended) == Set(bench.begun.map(\.id)) && bench.forwarder.pendingCount == 0)
        bench.receive(try Self.answer(to: bench.begun[0]), bench.begun[0])
        #expect(bench.answers.count == 1)
    }

    @Test func `an answer under another identifier, to another question or to nothing is not one`() throws {
        var bench = Bench()
        bench.ask(try Self.query(), [.plain(Self.first)])
        let exchange = bench.begun[0]
        var forged = try Self.answer(to: exchange)
        forged[1] &+= 1
        bench.receive(forged, exchange)
        bench.receive(exchange.message, exchange)
        var other = try Self.answer(to: exchange)
        other[13] ^= 1
        bench.receive(other, exchange)
        for count in 0..<12 { bench.receive(Array(forged.prefix(count)), exchange) }
        #expect(bench.answers.isEmpty && bench.forwarder.pendingCount == 1)
        bench.receive(try Self.answer(to: exchange), exchange)
        #expect(bench.answers.count == 1)
    }

    @Test func `TCP is tried beside UDP after two seconds, and given up after ten in all`() throws {
        var bench = Bench()
        bench.ask(try Self.query(), [.plain(Self.first)])
        bench.advance(.milliseconds(1_999))
        #expect(bench.begun.count == 1)
        bench.advance(.milliseconds(1))
        #expect(bench.begun.map(\.carrier) == [.datagram, .stream])
        bench.advance(.milliseconds(5_001))
        #expect(bench.ended == [bench.begun[1].id] && bench.answers.isEmpty)
        bench.advance(.seconds(3))
        let answer = try Self.read(#require(bench.answers.first))
        #expect(answer.flags.responseCode == .serverFailure && answer.identifier == 0x1234)
        #expect(bench.forwarder.nextDeadline == nil)
    }

    @Test func `failures do not win while others are asked, and all refusals are one`() throws {
        var bench = Bench()
        bench.ask(try Self.query(), [.plain(Self.first), .plain(Self.second)])
        bench.receive(try Self.answer(to: bench.begun[0], code: .serverFailure), bench.begun[0])
        #expect(bench.answers.isEmpty)
        bench.receive(try Self.answer(to: bench.begun[1], code: .nameError), bench.begun[1])
        #expect(try Self.read(bench.answers[0]).flags.responseCode == .nameError)

        bench.ask(try Self.query(), [.plain(Self.first), .plain(Self.second)])
        for exchange in bench.begun.suffix(2) { bench.receive(try Self.answer(to: exchange, code: .refused), exchange) }
        #expect(try Self.read(bench.answers[1]).flags.responseCode == .refused)

        bench.ask(try Self.query(), [.plain(Self.first), .plain(Self.second)])
        let last = Array(bench.begun.suffix(2))
        bench.receive(try Self.answer(to: last[0], code: .refused), last[0])
        bench.receive(try Self.answer(to: last[1], code: .serverFailure), last[1])
        #expect(try Self.read(bench.answers[2]).flags.responseCode == .serverFailure)
    }

    @Test func `a port where nobody listens means TCP at once`() throws {
        var bench = Bench()
        bench.ask(try Self.query(), [.plain(Self.first)])
        bench.forwarder.failed(bench.begun[0].id, now: bench.now)
        bench.collect()
        #expect(bench.begun.map(\.carrier) == [.datagram, .stream])
        bench.forwarder.failed(bench.begun[1].id, now: bench.now)
        bench.collect()
        #expect(try Self.read(bench.answers[0]).flags.responseCode == .serverFailure)
    }

    @Test func `a guest over TCP gets the whole answer, one over UDP what fits`() throws {
        var bench = Bench()
        bench.ask(try Self.query(), [.plain(Self.first)], client: .stream(1))
        #expect(bench.begun.map(\.carrier) == [.datagram, .stream])
        bench.receive(try Self.answer(to: bench.begun[0], truncated: true), bench.begun[0])
        #expect(bench.answers.isEmpty)
        bench.receive(try Self.answer(to: bench.begun[1], octets: 5_000), bench.begun[1])
        #expect(bench.answers[0].count > 5_000)

        bench.ask(try Self.query(), [.plain(Self.first)])
        bench.receive(try Self.answer(to: bench.begun[2], octets: 600), bench.begun[2])
        let small = try Self.read(bench.answers[1])
        #expect(small.flags.isTruncated && small.answers.isEmpty && bench.answers[1].count <= 512)

        bench.ask(try Self.query(payload: 1_000), [.plain(Self.first)])
        bench.receive(try Self.answer(to: bench.begun[3], octets: 600), bench.begun[3])
        #expect(try Self.read(bench.answers[2]).flags.isTruncated == false)
        #expect(bench.answers[2].count > 600)
    }

    @Test func `a truncated answer is passed on to a guest that asked over UDP`() throws {
        var bench = Bench()
        bench.ask(try Self.query(payload: 4_096), [.plain(Self.first)])
        bench.receive(try Self.answer(to: bench.begun[0], truncated: true), bench.begun[0])
        #expect(try Self.read(#require(bench.answers.first)).flags.isTruncated)
    }

    @Test(arguments: [(UInt16(65_535), UInt16(4_095), DNSWay.host), (4_096, 1_232, .tunnel), (600, 600, .host)])
    func `no more is allowed over UDP than can arrive`(asked: UInt16, allowed: UInt16, way: DNSWay) throws {
        var bench = Bench()
        bench.ask(try Self.query(payload: asked), [.plain(Self.first)], way: { _ in way })
        let sent = try Self.read(bench.begun[0].message)
        #expect(sent.additionals.map(\.recordClass) == [allowed])
    }

    @Test func `whom it cannot reach it does not ask, and says so at once`() throws {
        var bench = Bench()
        bench.ask(try Self.query(), [.plain(Self.first), .plain(Self.second)]) { $0.isPrivate ? nil : .tunnel }
        #expect(bench.begun.map(\.target) == [Self.first])
        bench.ask(try Self.query(), [.plain(Self.second), .unusable("tls://1.1.1.1")]) { _ in nil }
        #expect(try Self.read(bench.answers[0]).flags.responseCode == .serverFailure)
        bench.ask(try Self.query(), [.peer(Self.first, path: "/dns-query")]) { _ in .host }
        #expect(bench.answers.count == 2 && bench.begun.count == 1)
    }

    @Test func `neither many queries at once nor many a second get further than they may`() throws {
        var bench = Bench()
        for _ in 0..<300 { bench.ask(try Self.query(), [.plain(Self.first)]) }
        #expect(bench.forwarder.pendingCount == 256 && bench.begun.count == 256 && bench.answers.count == 44)

        var quick = Bench()
        for _ in 0..<600 {
            quick.ask(try Self.query(), [.plain(Self.first)])
            if quick.begun.count > quick.answers.count, let last = quick.begun.last, !quick.ended.contains(last.id) {
                quick.receive(try Self.answer(to: last), last)
            }
        }
        #expect(quick.begun.count == 400)
        quick.now = quick.now + .seconds(1)
        for _ in 0..<600 { quick.ask(try Self.query(), [.plain(Self.first)]) }
        #expect(quick.begun.count == 600)
    }

    @Test func `nonsense from a resolver costs nothing but the time it takes`() throws {
        var bench = Bench()
        bench.ask(try Self.query(payload: 1_232), [.plain(Self.first)])
        let good = try Self.answer(to: bench.begun[0])
        var state: UInt32 = 3
        for count in 0..<5_000 {
            let nonsense = (0..<(count % 80)).map { _ in
                state = state &* 1_664_525 &+ 1_013_904_223
                return UInt8(truncatingIfNeeded: state >> 24)
            }
            bench.receive(nonsense, bench.begun[0])
        }
        #expect(bench.forwarder.pendingCount == 1)
        for count in 0..<17 { bench.receive(Array(good.prefix(count)), bench.begun[0]) }
        #expect(bench.answers.isEmpty)
    }
}

@Suite("DNSReach") struct DNSReachTests {
    private struct Open: DialPolicy {
        func permits(_ address: IPAddress, for purpose: DialPurpose) -> Bool {
            purpose == .resolver && !address.isLoopback
        }
    }

    private static let own = IPAddress.v4(IPv4Address(100, 64, 0, 1))
    private static let publicResolver = IPAddress.v4(IPv4Address(8, 8, 8, 8))
    private static let nobody: @Sendable (IPAddress) -> Bool = { _ in false }

    @Test func `what is routed goes through the tunnel, everything else nowhere`() {
        let reach = DNSReach(own: [Self.own], policy: Open())
        #expect(reach.way(to: .v4(IPv4Address(100, 64, 0, 2))) { _ in true } == .tunnel)
        #expect(reach.way(to: Self.publicResolver) { _ in true } == .tunnel)
        #expect(reach.way(to: Self.publicResolver, isRouted: Self.nobody) == nil)
        #expect(reach.way(to: .v6(TailnetAddresses.serviceIPv6)) { _ in true } == nil)
        #expect(reach.way(to: Self.own) { _ in true } == nil)
        // There is no own address of that family to ask from.
        #expect(reach.way(to: .v6(IPv6Address(high: 0x2001_0DB8_0000_0000, low: 1))) { _ in true } == nil)
    }

    @Test func `the host's network is used where it is allowed, and never around an exit node`() {
        let stub = AddressPort(.v4(.loopback), port: 53)
        var reach = DNSReach(own: [Self.own], rule: .host(resolvers: [stub]), policy: Open())
        #expect(reach.way(to: Self.publicResolver, isRouted: Self.nobody) == .host)
        #expect(reach.way(to: stub.address, isRouted: Self.nobody) == .host)
        #expect(reach.way(to: .v4(IPv4Address(127, 0, 0, 53)), isRouted: Self.nobody) == nil)
        #expect(reach.way(to: .v4(IPv4Address(100, 64, 0, 9)), isRouted: Self.nobody) == nil)
        reach.usesExitNode = true
        #expect(reach.way(to: Self.publicResolver, isRouted: Self.nobody) == nil)
        #expect(reach.way(to: stub.address, isRouted: Self.nobody) == nil)
    }
}
