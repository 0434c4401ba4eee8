import NetTypes
import NetWire
import Testing

@testable import TCP

@Suite("TCPConnection (RFC 9293)") struct TCPConnectionTests {
    private static func pattern(_ count: Int) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
    }

    @Test func `opens, carries octets both ways, and closes from either side`() {
        for clientCloses in [true, false] {
            var pair = TCPPair()
            expect(&pair) { $0.client.state == .established && $0.server?.state == .established }
            _ = pair.client.write([1, 2, 3])
            _ = pair.server?.write([9, 8])
            var (atServer, atClient): ([UInt8], [UInt8]) = ([], [])
            expect(&pair) {
                atServer += $0.server?.read() ?? []
                atClient += $0.client.read()
                return atServer == [1, 2, 3] && atClient == [9, 8]
            }
            if clientCloses { pair.client.finish() } else { pair.server?.finish() }
            expect(&pair) { clientCloses ? $0.server?.state == .closeWait : $0.client.state == .closeWait }
            if clientCloses { pair.server?.finish() } else { pair.client.finish() }
            expect(&pair) { $0.client.state == .closed && $0.server?.state == .closed }
            #expect(pair.client.failure == nil && pair.server?.failure == nil)
            #expect(pair.client.nextDeadline == nil)
        }
    }

    @Test func `both may finish at once`() {
        var pair = TCPPair()
        expect(&pair) { $0.client.state == .established && $0.server?.state == .established }
        pair.client.finish()
        pair.server?.finish()
        expect(&pair) { $0.client.state == .closing || $0.client.state == .timeWait }
        expect(&pair) { $0.client.state == .closed && $0.server?.state == .closed }
        #expect(pair.client.failure == nil && pair.server?.failure == nil)
    }

    @Test func `both may begin at once`() throws {
        var now = MonotonicTime(nanoseconds: 1)
        var left = TCPConnection(from: TCPPair.client, to: TCPPair.server, initialSequence: 5, mtu: 1280, now: now)
        var right = TCPConnection(from: TCPPair.server, to: TCPPair.client, initialSequence: 90, mtu: 1280, now: now)
        for _ in 0..<6 {
            now = now + .milliseconds(5)
            let (toRight, toLeft) = (left.takeOutgoing(now: now), right.takeOutgoing(now: now))
            for packet in toRight { right.receive(try segment(packet), now: now) }
            for packet in toLeft { left.receive(try segment(packet), now: now) }
        }
        #expect(left.state == .established && right.state == .established)
    }

    @Test(arguments: [(0, 0, 0), (5, 0, 0), (0, 10, 30), (15, 10, 20), (30, 0, 10)])
    func `everything arrives once and in order over a bad network`(loss: Int, doubling: Int, reordering: Int) {
        let octets = Self.pattern(180_000)
        for seed in 1...3 as ClosedRange<UInt64> {
            var pair = TCPPair(seed: seed)
            (pair.lossPercent, pair.doublingPercent, pair.reorderingPercent) = (loss, doubling, reordering)
            var written = 0
            var read: [UInt8] = []
            let isDone = pair.run(for: .seconds(3_000)) { pair in
                let piece = octets[written..<min(written + pair.client.room, octets.count)]
                if pair.client.state == .established, !piece.isEmpty, pair.client.write(Array(piece)) {
                    written += piece.count
                    if written == octets.count { pair.client.finish() }
                }
                read += pair.server?.read() ?? []
                return pair.server?.isReadFinished == true && read.count == octets.count
            }
            #expect(
                isDone,
                "seed \(seed): \(read.count) octets, \(pair.client.state) \(String(describing: pair.client.failure))"
            )
            #expect(read == octets)
        }
    }

    @Test func `a reader that sleeps closes the window, and a probe finds it open again`() {
        var pair = TCPPair(receiveCapacity: 4_000)
        expect(&pair) { $0.server?.state == .established }
        let octets = Self.pattern(20_000)
        _ = pair.client.write(octets)
        _ = pair.run(for: .seconds(20)) { _ in false }
        #expect(pair.server?.readableByteCount == 4_000)
        var read: [UInt8] = []
        expect(&pair) {
            read += $0.server?.read() ?? []
            return read.count == octets.count
        }
        #expect(read == octets)
    }

    @Test func `nobody there: a reset refuses, silence takes its time`() throws {
        let now = MonotonicTime(nanoseconds: 1)
        var refused = TCPConnection(from: TCPPair.client, to: TCPPair.server, initialSequence: 5, mtu: 1280, now: now)
        let syn = try segment(try #require(refused.takeOutgoing(now: now).first))
        refused.receive(try #require(syn.reset), now: now)
        #expect(refused.state == .closed && refused.failure == .refused)

        var silent = TCPPair()
        silent.lossPercent = 100
        expect(&silent, within: .seconds(120)) { $0.client.state == .closed }
        #expect(silent.client.failure == .timedOut)
        #expect(silent.now < MonotonicTime(nanoseconds: 1_000_000_000) + .seconds(40))
    }

    @Test func `a reset that only lies in the window is asked about, one that fits ends it`() {
        var pair = TCPPair()
        expect(&pair) { $0.client.state == .established && $0.server?.state == .established }
        let next = pair.client.received.next
        pair.client.receive(TCPSegment(sequence: next &+ 10, acknowledgement: 0, flags: .rst), now: pair.now)
        var answers = pair.client.takeOutgoing(now: pair.now)
        #expect(pair.client.state == .established && answers.count == 1)
        pair.client.receive(TCPSegment(sequence: next &- 10, acknowledgement: 0, flags: .rst), now: pair.now)
        answers = pair.client.takeOutgoing(now: pair.now)
        #expect(pair.client.state == .established && answers.isEmpty)
        pair.client.receive(TCPSegment(sequence: next, acknowledgement: 0, flags: .rst), now: pair.now)
        #expect(pair.client.state == .closed && pair.client.failure == .reset)
    }

    @Test func `who disappears is given up, and an abort is told`() {
        var pair = TCPPair()
        expect(&pair) { $0.client.state == .established && $0.server?.state == .established }
        pair.server?.abort()
        expect(&pair) { $0.client.state == .closed }
        #expect(pair.client.failure == .reset)

        var lost = TCPPair()
        expect(&lost) { $0.client.state == .established && $0.server?.state == .established }
        lost.lossPercent = 100
        _ = lost.client.write([1])
        expect(&lost, within: .seconds(400)) { $0.client.state == .closed }
        #expect(lost.client.failure == .timedOut)
    }

    @Test func `segments of all kinds and numbers break nothing and hold no more than they may`() {
        var generator = SeededGenerator(seed: 9)
        for _ in 0..<60 {
            var pair = TCPPair(receiveCapacity: 8_000)
            _ = pair.run { $0.client.state == .established && $0.server?.state == .established }
            _ = pair.client.write([1, 2, 3])
            if Bool.random(using: &generator) { pair.client.finish() }
            for _ in 0..<300 {
                let near = UInt32.random(in: 0...20_000, using: &generator) &- 5_000
                let segment = TCPSegment(
                    sequence: pair.client.received.next &+ near,
                    acknowledgement: pair.client.highest &+ UInt32.random(in: 0...6, using: &generator) &- 3,
                    flags: TCPFlags(rawValue: UInt8.random(in: 0...31, using: &generator) & ~4),
                    window: .random(in: 0...9_000, using: &generator),
                    maximumSegment: .random(in: 0...2_000, using: &generator),
                    payload: [UInt8](repeating: 1, count: Int.random(in: 0...9_000, using: &generator))
                )
                pair.client.receive(segment, now: pair.now)
                pair.now = pair.now + .milliseconds(50)
                pair.client.tick(now: pair.now)
                _ = pair.client.takeOutgoing(now: pair.now)
                #expect(pair.client.readableByteCount <= 8_000)
                if Int.random(in: 0..<10, using: &generator) == 0 { _ = pair.client.read() }
            }
        }
    }

    private func expect(
        _ pair: inout TCPPair,
        within limit: Duration = .seconds(600),
        sourceLocation: SourceLocation = #_sourceLocation,
        _ isDone: (inout TCPPair) -> Bool
    ) {
        let done = pair.run(for: limit, until: isDone)
        #expect(done, "\(pair.client.state) \(String(describing: pair.server?.state))", sourceLocation: sourceLocation)
    }

    private func segment(_ packet: [UInt8]) throws -> TCPSegment {
        let parsed = try ParsedPacket(parsing: packet.span)
        let segment = TCPSegment(parsing: packet.span, parsed)
        return try #require(segment)
    }
}

@Suite("TCPSegment") struct TCPSegmentTests {
    @Test func `survives the way through a packet of either family, and nothing damaged does`() throws {
        let six = AddressPort(.v6(IPv6Address(high: 0xFD7A_115C_A1E0_0000, low: 1)), port: 7)
        let original = TCPSegment(
            sequence: 0xFFFF_FFFF,
            acknowledgement: 3,
            flags: [.syn, .ack],
            window: 77,
            maximumSegment: 1_220,
            payload: [1, 2, 3]
        )
        #expect(original.packet(from: six, to: TCPPair.client) == nil)
        for (source, target) in [(TCPPair.client, TCPPair.server), (six, six)] {
            let packet = try #require(original.packet(from: source, to: target))
            let parsed = try ParsedPacket(parsing: packet.span)
            let read = TCPSegment(parsing: packet.span, parsed)
            #expect(read == original && parsed.sourcePort == source.port && parsed.destinationPort == target.port)
            for index in parsed.transportOffset..<packet.count {
                var damaged = packet
                damaged[index] ^= 0x10
                guard let parsed = try? ParsedPacket(parsing: damaged.span) else { continue }
                let read = TCPSegment(parsing: damaged.span, parsed)
                #expect(read == nil)
            }
        }
    }

    @Test func `options of every length are read or skipped, and never break anything`() throws {
        var generator = SeededGenerator(seed: 4)
        for _ in 0..<3_000 {
            let count = Int.random(in: 0...10, using: &generator) * 4
            let options = (0..<count).map { _ in UInt8.random(in: 0...5, using: &generator) }
            var transport: [UInt8] = [
                0, 1, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2, UInt8((20 + count) / 4) << 4, 2, 1, 0, 0, 0, 0, 0,
            ]
            transport += options
            let header = IPv4Header(
                ipProtocol: .tcp,
                source: IPv4Address(1, 2, 3, 4),
                destination: IPv4Address(1, 2, 3, 5),
                payloadByteCount: transport.count
            )
            var sum = header.pseudoHeader(payloadByteCount: transport.count)
            sum.add(transport.span)
            (transport[16], transport[17]) = (UInt8(sum.value >> 8), UInt8(sum.value & 255))
            var packet = [UInt8](repeating: 0, count: 20)
            var elements = packet.mutableSpan
            var octets = elements.mutableBytes
            header.store(into: &octets, at: 0)
            packet += transport
            let parsed = try ParsedPacket(parsing: packet.span)
            let read = TCPSegment(parsing: packet.span, parsed)
            #expect(read?.sequence == 1)
        }
    }
}
