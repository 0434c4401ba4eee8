package import NetTypes
import NetWire

/// One end of a TCP connection as a value (RFC 9293): segments and the time in, packets out.
///
/// Without window scaling, selective acknowledgements and time stamps, which conversations of a few thousand octets do not
/// need. Acknowledgements are not delayed: they ride on what the user writes before the packets are taken.
package struct TCPConnection: Sendable {
    /// Where a connection stands (RFC 9293 §3.3.2).
    package enum State: Equatable, Sendable {
        case synSent, synReceived, established, finWait1, finWait2, closeWait, closing, lastAck, timeWait, closed
    }

    /// Why a connection ended before its time.
    package enum Failure: Error, Equatable, Sendable {
        /// Nobody listens there.
        case refused
        /// The other side knows nothing of it any more.
        case reset
        /// The other side was silent for too long.
        case timedOut
    }

    /// Our end.
    package let local: AddressPort
    /// The other end.
    package let remote: AddressPort
    /// Where it stands.
    package internal(set) var state: State
    /// Why it ended, if it ended badly.
    package internal(set) var failure: Failure?

    // What was sent and not acknowledged, and what is to be sent, beginning with `unacknowledged`; SYN and FIN are not in it.
    var queue: [UInt8] = []
    var unacknowledged: UInt32
    var next: UInt32
    // Behind the last number that was ever sent: `next` goes back when everything is sent again.
    var highest: UInt32
    var isFinishing = false
    var peerWindow: UInt32 = 0
    private var windowSequence: UInt32 = 0
    private var windowAcknowledgement: UInt32 = 0
    var segmentLimit: Int
    var congestion: CongestionWindow
    private var duplicates = 0
    private var recoverUntil: UInt32?

    var received: ReceiveBuffer
    // What was last told of the window, as the number behind it.
    var advertisedEnd: UInt32 = 0
    var owesAcknowledgement = false
    var outgoing: [TCPSegment] = []
    var roundTrip = RoundTripTimer()
    var repetitions = 0
    var deadline: MonotonicTime?
    let ownSegmentLimit: UInt16
    private let isPassive: Bool
    private let sendCapacity: Int

    /// Begins a connection to somebody.
    package init(
        from local: AddressPort,
        to remote: AddressPort,
        initialSequence: UInt32,
        mtu: Int,
        sendCapacity: Int = TCPDefaults.bufferByteCount + 2,
        receiveCapacity: Int = TCPDefaults.bufferByteCount,
        now: MonotonicTime
    ) {
        self.init(local, remote, initialSequence, mtu, sendCapacity, 0, receiveCapacity, isPassive: false)
        sendSYN(now)
    }

    /// Accepts a connection that somebody begins; nil when the segment is no clean SYN.
    package init?(
        accepting syn: TCPSegment,
        at local: AddressPort,
        from remote: AddressPort,
        initialSequence: UInt32,
        mtu: Int,
        sendCapacity: Int = TCPDefaults.bufferByteCount + 2,
        receiveCapacity: Int = TCPDefaults.bufferByteCount,
        now: MonotonicTime
    ) {
        guard syn.flags.contains(.syn), syn.flags.isDisjoint(with: [.ack, .rst, .fin]) else { return nil }
        self.init(
            local,
            remote,
            initialSequence,
            mtu,
            sendCapacity,
            syn.sequence &+ 1,
            receiveCapacity,
            isPassive: true
        )
        learn(syn)
        sendSYN(now)
    }

    private init(
        _ local: AddressPort,
        _ remote: AddressPort,
        _ initialSequence: UInt32,
        _ mtu: Int,
        _ sendCapacity: Int,
        _ expected: UInt32,
        _ receiveCapacity: Int,
        isPassive: Bool
    ) {
        self.local = local
        self.remote = remote
        self.isPassive = isPassive
        self.sendCapacity = sendCapacity
        state = isPassive ? .synReceived : .synSent
        unacknowledged = initialSequence
        next = initialSequence
        highest = initialSequence
        let headers = (local.address.isIPv4 ? IPv4Header.byteCount : IPv6Header.byteCount) + TCPHeader.byteCount
        ownSegmentLimit = UInt16(clamping: mtu - headers)
        segmentLimit = min(Int(ownSegmentLimit), Int(TCPConstants.defaultMaximumSegment))
        congestion = CongestionWindow(segment: segmentLimit)
        // More cannot be told without scaling.
        received = ReceiveBuffer(next: expected, capacity: min(receiveCapacity, Int(UInt16.max)))
    }

    // MARK: The user's side

    /// How much may be written now.
    package var room: Int { isFinishing || state == .closed ? 0 : max(0, sendCapacity - queue.count) }

    /// Whether the other side will send no more.
    package var isReadFinished: Bool { received.isFinished || state == .closed }

    /// Whether everything that was written has arrived.
    package var isAllAcknowledged: Bool { queue.isEmpty }

    /// Octets that wait to be read.
    package var readableByteCount: Int { received.octets.count }

    /// Queues octets; false when there is no room for all of them.
    package mutating func write(_ octets: [UInt8]) -> Bool {
        guard octets.count <= room else { return false }
        queue += octets
        return true
    }

    /// Takes the octets that have come.
    package mutating func read() -> [UInt8] {
        let octets = received.take()
        // Room has become free that is worth telling of: two segments, or half of all (RFC 9293 §3.8.6.2.2).
        let grown = Int((received.next &+ UInt32(received.window)) &- advertisedEnd)
        if !octets.isEmpty, state != .closed, grown >= min(2 * segmentLimit, received.window / 2 + 1) {
            owesAcknowledgement = true
        }
        return octets
    }

    /// Sends a FIN behind what was written.
    package mutating func finish() { isFinishing = true }

    /// Ends the connection with a reset.
    package mutating func abort() {
        switch state {
        case .closed, .timeWait, .synSent: break
        default: outgoing.append(TCPSegment(sequence: highest, acknowledgement: received.next, flags: [.rst, .ack]))
        }
        close(nil)
    }

    // MARK: The other side

    /// Takes a segment of this connection.
    package mutating func receive(_ segment: TCPSegment, now: MonotonicTime) {
        switch state {
        case .closed: break
        case .synSent: receiveInSYNSent(segment, now)
        default: receiveSynchronized(segment, now)
        }
    }

    private mutating func receiveInSYNSent(_ segment: TCPSegment, _ now: MonotonicTime) {
        if segment.flags.contains(.ack), segment.acknowledgement != highest {
            if let reset = segment.reset { outgoing.append(reset) }
            return
        }
        if segment.flags.contains(.rst) {
            if segment.flags.contains(.ack) { close(.refused) }
            return
        }
        guard segment.flags.contains(.syn) else { return }
        received = ReceiveBuffer(next: segment.sequence &+ 1, capacity: received.window)
        learn(segment)
        if segment.flags.contains(.ack) {
            acknowledge(segment, now)
            state = .established
            owesAcknowledgement = true
        } else {
            // Both sides began at once (RFC 9293 §3.5).
            state = .synReceived
            next = unacknowledged
            sendSYN(now)
        }
    }

    private mutating func receiveSynchronized(_ segment: TCPSegment, _ now: MonotonicTime) {
        guard received.accepts(sequence: segment.sequence, count: segment.sequenceCount) else {
            if segment.flags.contains(.rst) { return }
            owesAcknowledgement = true
            // A FIN that comes again missed our acknowledgement of it.
            if state == .timeWait { deadline = now + TCPDefaults.timeWait }
            return
        }
        if segment.flags.contains(.rst) {
            // RFC 5961 §3.2: one that only lies in the window may be a blind guess.
            if segment.sequence == received.next {
                close(state == .synReceived && !isPassive ? .refused : .reset)
            } else {
                owesAcknowledgement = true
            }
            return
        }
        if segment.flags.contains(.syn) {
            // RFC 5961 §4.2: who has really begun anew answers our acknowledgement with a reset.
            owesAcknowledgement = true
            return
        }
        guard segment.flags.contains(.ack) else { return }
        if state == .synReceived {
            guard segment.acknowledgement == highest else {
                if let reset = segment.reset { outgoing.append(reset) }
                return
            }
            acknowledge(segment, now)
            state = .established
        } else {
            guard !precedes(highest, segment.acknowledgement) else {
                owesAcknowledgement = true
                return
            }
            acknowledge(segment, now)
        }
        guard state != .closed else { return }
        takeContent(segment, now)
    }

    private mutating func takeContent(_ segment: TCPSegment, _ now: MonotonicTime) {
        guard segment.sequenceCount > 0, state != .timeWait else { return }
        received.insert(segment.payload, at: segment.sequence, isLast: segment.flags.contains(.fin))
        owesAcknowledgement = true
        guard received.isFinished else { return }
        switch state {
        case .established: state = .closeWait
        case .finWait1: state = .closing
        case .finWait2: enterTimeWait(now)
        default: break
        }
    }

    /// Takes note of the acknowledgement and the window of an acceptable segment.
    private mutating func acknowledge(_ segment: TCPSegment, _ now: MonotonicTime) {
        let number = segment.acknowledgement
        if precedes(unacknowledged, number) {
            advance(to: number, now)
        } else if number == unacknowledged, segment.payload.isEmpty, segment.flags.isDisjoint(with: [.syn, .fin]),
            peerWindow > 0, UInt32(segment.window) == peerWindow, unacknowledged != highest
        {
            noteDuplicate()
        }
        if precedes(windowSequence, segment.sequence)
            || windowSequence == segment.sequence && !precedes(number, windowAcknowledgement)
        {
            if peerWindow == 0, segment.window > 0 {
                // What was sent into the closed window is to be sent again, and not as a loss.
                next = unacknowledged
                deadline = nil
            }
            peerWindow = UInt32(segment.window)
            windowSequence = segment.sequence
            windowAcknowledgement = number
            // Who answers probes of a closed window is alive.
            repetitions = 0
        }
    }

    private mutating func advance(to number: UInt32, _ now: MonotonicTime) {
        var count = Int(number &- unacknowledged)
        if state == .synSent || state == .synReceived { count -= 1 }
        let isFinished = count > queue.count
        count = min(count, queue.count)
        queue.removeFirst(count)
        unacknowledged = number
        if precedes(next, number) { next = number }
        roundTrip.acknowledged(number, now: now)
        repetitions = 0
        duplicates = 0
        if let end = recoverUntil, precedes(number, end) {
            // The acknowledgement of one repeated segment shows the next gap (RFC 6582).
            repeatFirst()
        } else {
            recoverUntil = nil
            congestion.grow(by: count)
        }
        deadline = unacknowledged == highest ? nil : now + roundTrip.timeout
        guard isFinished else { return }
        switch state {
        case .finWait1:
            state = .finWait2
            deadline = now + TCPDefaults.finWait
        case .closing: enterTimeWait(now)
        case .lastAck: close(nil)
        default: break
        }
    }

    private mutating func noteDuplicate() {
        duplicates += 1
        guard duplicates == TCPConstants.duplicateLimit, recoverUntil == nil else { return }
        recoverUntil = highest
        congestion.halve(inFlight: Int(highest &- unacknowledged))
        repeatFirst()
    }

    private mutating func repeatFirst() {
        roundTrip.forget()
        let count = min(segmentLimit, queue.count)
        if count > 0 { outgoing.append(segment(at: unacknowledged, Array(queue.prefix(count)))) }
    }

    // MARK: States

    private mutating func learn(_ syn: TCPSegment) {
        segmentLimit = max(64, min(Int(ownSegmentLimit), Int(syn.maximumSegment ?? TCPConstants.defaultMaximumSegment)))
        congestion = CongestionWindow(segment: segmentLimit)
        peerWindow = UInt32(syn.window)
        windowSequence = syn.sequence
    }

    private mutating func enterTimeWait(_ now: MonotonicTime) {
        state = .timeWait
        deadline = now + TCPDefaults.timeWait
    }

    mutating func close(_ reason: Failure?) {
        state = .closed
        failure = reason
        deadline = nil
        queue = []
        owesAcknowledgement = false
    }
}
