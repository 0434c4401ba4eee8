import NetTypes
import NetWire
import Testing

@testable import TCP

@Suite("TCPListener") struct TCPListenerTests {
    private let now = MonotonicTime(nanoseconds: 1_000_000_000)

    private func listener(_ capacity: Int = 64) -> TCPListener {
        TCPListener(
            capacity: capacity,
            mtu: 1280,
            sendCapacity: 65_537,
            receiveCapacity: 8_192,
            generator: SeededGenerator(seed: 1)
        )
    }

    private func deliver(
        _ segment: TCPSegment,
        from port: UInt16,
        to listener: inout TCPListener,
        at time: MonotonicTime? = nil
    ) throws -> TCPListener.ID? {
        let source = AddressPort(.v4(IPv4Address(100, 64, 0, 1)), port: port)
        let packet = try #require(segment.packet(from: source, to: TCPPair.server))
        let parsed = try ParsedPacket(parsing: packet.span)
        return listener.receive(packet.span, parsed, now: time ?? now)
    }

    private func answer(_ listener: inout TCPListener) throws -> TCPSegment {
        let packet = try #require(listener.takeOutgoing().first)
        let parsed = try ParsedPacket(parsing: packet.span)
        let segment = TCPSegment(parsing: packet.span, parsed)
        return try #require(segment)
    }

    @Test func `a flood of SYNs costs as much as there may be connections, and ends none`() throws {
        var listener = listener()
        _ = try deliver(
            TCPSegment(sequence: 7, acknowledgement: 0, flags: .syn, window: 1_000),
            from: 1_000,
            to: &listener
        )
        let opened = try answer(&listener)
        #expect(opened.flags == [.syn, .ack] && opened.acknowledgement == 8)
        let acknowledgement = TCPSegment(
            sequence: 8,
            acknowledgement: opened.sequence &+ 1,
            flags: .ack,
            window: 1_000,
            payload: [42]
        )
        let id = try #require(try deliver(acknowledgement, from: 1_000, to: &listener))
        for port in 2_000..<(2_000 + 20_000) as Range<UInt16> {
            let syn = TCPSegment(sequence: 1, acknowledgement: 0, flags: .syn)
            _ = try deliver(syn, from: port, to: &listener)
            _ = listener.takeOutgoing()
        }
        #expect(listener.count == 64)
        let read = listener.use(id, now: now) { $0.read() }
        #expect(read == [42])
        // Those who do not go on are forgotten by themselves.
        var time = now
        while listener.count > 1, let deadline = listener.nextDeadline, deadline < now + .seconds(100) {
            time = deadline
            _ = listener.tick(now: time)
        }
        #expect(listener.count == 1)
    }

    @Test func `a segment of no connection is reset, and a reset is not answered`() throws {
        var listener = listener()
        _ = try deliver(
            TCPSegment(sequence: 5, acknowledgement: 9, flags: .ack, payload: [1]),
            from: 3_000,
            to: &listener
        )
        let reset = try answer(&listener)
        #expect(reset.flags == .rst && reset.sequence == 9)
        _ = try deliver(TCPSegment(sequence: 5, acknowledgement: 9, flags: .rst), from: 3_000, to: &listener)
        let answers = listener.takeOutgoing()
        #expect(answers.isEmpty && listener.count == 0)
        #expect(listener.nextDeadline == nil)
    }
}
