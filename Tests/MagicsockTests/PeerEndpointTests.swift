import Disco
import Magicsock
import NetTypes
import Tailcfg
import Testing

@Suite("PeerEndpoint") struct PeerEndpointTests {
    /// A peer on a clock that the test moves, with a counter for randomness.
    struct Bench {
        var endpoint = PeerEndpoint()
        var now = MonotonicTime.zero + .seconds(1_000)
        var generator = CountingGenerator()

        mutating func poll() -> [PeerPathAction] { endpoint.poll(at: now, using: &generator) }
        mutating func send() -> PeerRoute { endpoint.route(at: now) }
        mutating func pong(_ actions: [PeerPathAction], from address: AddressPort, after delay: Duration)
            -> [PeerPathAction]
        {
            now = now + delay
            for case .ping(address, let transaction) in actions {
                return endpoint.receivePong(transaction, at: now)
            }
            Issue.record("no ping to \(address)")
            return []
        }
    }

    struct CountingGenerator: RandomNumberGenerator {
        var value: UInt64 = 0
        mutating func next() -> UInt64 {
            value += 1
            return value
        }
    }

    private let near = AddressPort(.v4(IPv4Address(192, 168, 1, 2)), port: 41641)
    private let far = AddressPort(.v4(IPv4Address(203, 0, 113, 5)), port: 41641)

    private func bench(_ candidates: [AddressPort]) -> Bench {
        var bench = Bench()
        bench.endpoint.homeDERP = 1
        bench.endpoint.setNetworkMapCandidates(candidates, at: bench.now)
        return bench
    }

    @Test func `the first packet goes by DERP, pings every candidate and calls the peer`() {
        var bench = bench([near, far])
        let route = bench.send()
        #expect(route == PeerRoute(direct: nil, useDERP: true, needsPoll: true))
        let actions = bench.poll()
        #expect(pinged(actions) == [near, far])
        #expect(actions.last == .callMeMaybe)
        #expect(bench.send().needsPoll == false)
        #expect(bench.endpoint.deadline == bench.now + .seconds(3))
    }

    @Test func `without candidates or without a home nobody is called`() {
        var lonely = bench([])
        _ = lonely.send()
        #expect(lonely.poll() == [])
        var homeless = bench([near])
        homeless.endpoint.homeDERP = .none
        _ = homeless.send()
        #expect(homeless.poll().contains(.callMeMaybe) == false)
    }

    @Test func `a pong makes the path best and trusted`() {
        var bench = bench([near])
        _ = bench.send()
        let answer = bench.pong(bench.poll(), from: near, after: .milliseconds(2))
        #expect(answer == [.bestChanged])
        #expect(bench.endpoint.best?.address == near)
        #expect(bench.endpoint.best?.latency == .milliseconds(2))
        #expect(bench.send() == PeerRoute(direct: near, useDERP: false, needsPoll: false))
    }

    @Test func `a pong with an unknown transaction changes nothing`() {
        var bench = bench([near])
        _ = bench.send()
        _ = bench.poll()
        #expect(bench.endpoint.receivePong(TransactionID(high: 99, low: 99), at: bench.now) == [])
        #expect(bench.endpoint.best == nil)
    }

    @Test func `a better path takes over, a worse one does not`() {
        var bench = bench([near, far])
        _ = bench.send()
        let pings = bench.poll()
        _ = bench.pong(pings, from: far, after: .milliseconds(20))
        #expect(bench.endpoint.best?.address == far)
        #expect(bench.pong(pings, from: near, after: .milliseconds(1)) == [.bestChanged])
        var other = self.bench([near, far])
        _ = other.send()
        let others = other.poll()
        _ = other.pong(others, from: near, after: .milliseconds(1))
        #expect(other.pong(others, from: far, after: .milliseconds(5)) == [])
        #expect(other.endpoint.best?.address == near)
    }

    @Test func `lapsed trust sends both ways and discovers again`() {
        var bench = bench([near])
        _ = bench.send()
        _ = bench.pong(bench.poll(), from: near, after: .milliseconds(2))
        bench.now = bench.now + .milliseconds(6_501)
        #expect(bench.send() == PeerRoute(direct: near, useDERP: true, needsPoll: true))
        #expect(pinged(bench.poll()).contains(near))
    }

    @Test func `heartbeats keep trust while the session is active and end after it`() {
        var bench = bench([near])
        _ = bench.send()
        _ = bench.pong(bench.poll(), from: near, after: .milliseconds(2))
        for _ in 0..<14 {
            bench.now = bench.now + .seconds(3)
            let actions = bench.poll()
            #expect(pinged(actions) == [near])
            _ = bench.pong(actions, from: near, after: .milliseconds(1))
            #expect(bench.endpoint.isTrusted(at: bench.now))
        }
        bench.now = bench.now + .seconds(5)
        #expect(bench.poll() == [])
        #expect(bench.endpoint.deadline == nil)
    }

    @Test func `a ping that stays unanswered after trust lapsed clears the path`() {
        var bench = bench([near])
        _ = bench.send()
        _ = bench.pong(bench.poll(), from: near, after: .milliseconds(2))
        for second in 1...12 {
            bench.now = bench.now + .seconds(1)
            _ = bench.send()
            let cleared = bench.poll().contains(.bestChanged)
            if cleared {
                #expect(second >= 7)
                #expect(bench.endpoint.best == nil)
                #expect(bench.send().direct == nil)
                return
            }
        }
        Issue.record("the dead path was kept")
    }

    @Test func `a slow path is looked to be bettered once a minute`() {
        var bench = bench([near, far])
        _ = bench.send()
        _ = bench.pong(bench.poll(), from: far, after: .milliseconds(30))
        var full = 0
        for _ in 0..<25 {
            bench.now = bench.now + .seconds(3)
            _ = bench.send()
            let actions = bench.poll()
            if pinged(actions).contains(near) { full += 1 }
            if pinged(actions).contains(far) { _ = bench.pong(actions, from: far, after: .milliseconds(30)) }
        }
        #expect(full == 1)
    }

    @Test func `a call-me-maybe replaces the last one and pings at once`() {
        var bench = bench([])
        #expect(pinged(bench.endpoint.receiveCallMeMaybe([near], at: bench.now, using: &bench.generator)) == [near])
        let again = bench.endpoint.receiveCallMeMaybe([far], at: bench.now, using: &bench.generator)
        #expect(pinged(again) == [far])
        #expect(again.contains(.callMeMaybe) == false)
        #expect(bench.endpoint.candidateAddresses == [far])
    }

    @Test func `an incoming ping makes its source a candidate for a while`() {
        var bench = bench([])
        _ = bench.endpoint.receivePing(TransactionID(using: &bench.generator), from: far, at: bench.now)
        #expect(bench.endpoint.candidateAddresses == [far])
        _ = bench.send()
        #expect(pinged(bench.poll()) == [far])
        bench.now = bench.now + .seconds(46)
        bench.endpoint.setNetworkMapCandidates([near], at: bench.now)
        #expect(bench.endpoint.candidateAddresses == [near])
    }

    @Test func `a new candidate is tried without waiting for the quiet time`() {
        var bench = bench([])
        _ = bench.send()
        _ = bench.poll()
        bench.endpoint.setNetworkMapCandidates([near], at: bench.now)
        #expect(bench.send().needsPoll)
        #expect(pinged(bench.poll()) == [near])
    }

    @Test(arguments: ["[fe80::1]:1", "0.0.0.0:5", "224.0.0.1:5", "10.0.0.1:0"])
    func `useless addresses are no candidates`(text: String) throws {
        let address = try #require(AddressPort(text))
        var bench = bench([address])
        _ = bench.endpoint.receivePing(TransactionID(using: &bench.generator), from: address, at: bench.now)
        #expect(bench.endpoint.candidateAddresses == [])
    }

    @Test func `candidates are bounded and those of control survive`() {
        var bench = bench([near])
        for port in 1...300 {
            _ = bench.endpoint.receivePing(
                TransactionID(using: &bench.generator),
                from: AddressPort(far.address, port: UInt16(port)),
                at: bench.now
            )
        }
        #expect(bench.endpoint.candidateAddresses.count == 100)
        #expect(bench.endpoint.candidateAddresses.contains(near))
    }

    @Test func `an unreachable best path is left at once`() {
        var bench = bench([near])
        _ = bench.send()
        _ = bench.pong(bench.poll(), from: near, after: .milliseconds(2))
        #expect(bench.endpoint.noteUnreachable(near, at: bench.now) == [.bestChanged])
        #expect(bench.send().useDERP)
    }

    @Test func `a copy of a ping is not answered again, the next ping is`() {
        var bench = bench([])
        let first = TransactionID(using: &bench.generator)
        let second = TransactionID(using: &bench.generator)
        let answered = [(first, far), (first, far), (first, near), (second, far)].map { transaction, address in
            bench.endpoint.receivePing(transaction, from: address, at: bench.now)
        }
        #expect(answered == [true, false, true, true])
    }

    @Test func `a ping on demand takes the proven path alone, else everything at once`() {
        var bench = bench([near, far])
        _ = bench.send()
        let first = bench.poll()
        // Within the five seconds in which discovery would leave them alone.
        let forced = bench.endpoint.probe(at: bench.now, using: &bench.generator)
        #expect(pinged(forced) == [near, far])
        _ = bench.pong(first, from: near, after: .milliseconds(1))
        let proven = bench.endpoint.probe(at: bench.now, using: &bench.generator)
        #expect(pinged(proven) == [near])
    }

    @Test func `control cannot have a thousand addresses pinged`() {
        var bench = bench((1...1_000).map { AddressPort(far.address, port: $0) })
        _ = bench.send()
        #expect(pinged(bench.poll()).count == 100)
    }

    private func pinged(_ actions: [PeerPathAction]) -> [AddressPort] {
        actions.compactMap { if case .ping(let address, _) = $0 { address } else { nil } }
    }
}
