package import NetTypes
import NetWire

extension TCPConnection {
    /// When `tick` is due.
    package var nextDeadline: MonotonicTime? { deadline }

    /// Does what is due: sends again, probes a closed window, or gives up.
    package mutating func tick(now: MonotonicTime) {
        guard let due = deadline, due <= now else { return }
        deadline = nil
        switch state {
        case .closed: return
        case .timeWait, .finWait2: return close(nil)
        default: break
        }
        let limit = isOpening ? TCPDefaults.synLimit : TCPDefaults.repetitionLimit
        guard repetitions < limit else {
            if !isOpening {
                outgoing.append(TCPSegment(sequence: highest, acknowledgement: received.next, flags: [.rst, .ack]))
            }
            return close(.timedOut)
        }
        repetitions += 1
        congestion.collapse(inFlight: Int(highest &- unacknowledged))
        roundTrip.expired()
        next = unacknowledged
        if isOpening {
            sendSYN(now)
        } else if peerWindow == 0, !queue.isEmpty {
            // A probe: the answer tells the window (RFC 9293 §3.8.6.1).
            emit(count: 1, now)
        }
    }

    /// Hands over the packets to be sent.
    package mutating func takeOutgoing(now: MonotonicTime) -> [[UInt8]] {
        sendQueued(now)
        if owesAcknowledgement, state != .closed {
            outgoing.append(segment(at: next, []))
        }
        owesAcknowledgement = false
        defer { outgoing.removeAll() }
        return outgoing.compactMap { $0.packet(from: local, to: remote) }
    }

    private var isOpening: Bool { state == .synSent || state == .synReceived }

    mutating func sendSYN(_ now: MonotonicTime) {
        let syn = TCPSegment(
            sequence: unacknowledged,
            acknowledgement: state == .synSent ? 0 : received.next,
            flags: state == .synSent ? .syn : [.syn, .ack],
            window: UInt16(clamping: received.window),
            maximumSegment: ownSegmentLimit
        )
        outgoing.append(syn)
        advertisedEnd = received.next &+ UInt32(received.window)
        noteSent(upTo: unacknowledged &+ 1, now)
    }

    private mutating func sendQueued(_ now: MonotonicTime) {
        switch state {
        case .established, .closeWait, .finWait1, .closing, .lastAck: break
        default: return
        }
        while true {
            let inFlight = Int(next &- unacknowledged)
            let allowed = min(Int(peerWindow), congestion.byteCount) - inFlight
            let count = min(queue.count - inFlight, segmentLimit, allowed)
            let isEnd = isFinishing && inFlight + max(count, 0) >= queue.count && inFlight <= queue.count
            guard count > 0 || isEnd else { break }
            emit(count: max(count, 0), now)
            if isEnd { return }
        }
        // Nothing may be sent and nothing is on its way: only a probe will tell when that changes.
        if deadline == nil, !queue.isEmpty, next == unacknowledged { deadline = now + roundTrip.timeout }
    }

    /// Sends the next `count` octets, and the FIN when they are the last.
    private mutating func emit(count: Int, _ now: MonotonicTime) {
        let inFlight = Int(next &- unacknowledged)
        var piece = segment(at: next, Array(queue[inFlight..<(inFlight + count)]))
        if inFlight + count == queue.count {
            if count > 0 { piece.flags.insert(.psh) }
            if isFinishing {
                piece.flags.insert(.fin)
                if state == .established { state = .finWait1 }
                if state == .closeWait { state = .lastAck }
            }
        }
        outgoing.append(piece)
        noteSent(upTo: next &+ piece.sequenceCount, now)
    }

    mutating func segment(at sequence: UInt32, _ payload: [UInt8]) -> TCPSegment {
        owesAcknowledgement = false
        advertisedEnd = received.next &+ UInt32(received.window)
        return TCPSegment(
            sequence: sequence,
            acknowledgement: received.next,
            flags: .ack,
            window: UInt16(clamping: received.window),
            payload: payload
        )
    }

    private mutating func noteSent(upTo end: UInt32, _ now: MonotonicTime) {
        if precedes(highest, end) {
            roundTrip.sent(upTo: end, now: now)
            highest = end
        }
        next = end
        if deadline == nil { deadline = now + roundTrip.timeout }
    }
}
