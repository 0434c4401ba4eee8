import NetTypes
import WarrenCrypto

@testable import WireGuard

/// Gives the words it was told to, then repeatable ones.
struct ScriptedGenerator: RandomNumberGenerator {
    private var words: [UInt64]
    private var state: UInt64

    init(_ bytes: [UInt8] = [], seed: UInt64 = 1) {
        words = stride(from: 0, to: bytes.count, by: 8).map { start in
            (0..<8).reduce(0) { $0 | (start + $1 < bytes.count ? UInt64(bytes[start + $1]) << UInt64($1 * 8) : 0) }
        }
        state = seed
    }

    mutating func next() -> UInt64 {
        if !words.isEmpty { return words.removeFirst() }
        state &+= 0x9E37_79B9_7F4A_7C15
        var word = state
        word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
        return word ^ (word >> 31)
    }
}

/// A device that is fed with arrays.
final class TestNode {
    let device: WireGuardDevice
    let source: AddressPort

    init(
        key: NodePrivateKey = NodePrivateKey(),
        unixNanoseconds: UInt64 = 1_800_000_000_000_000_000,
        handshakesPerSecond: Int = 1000,
        port: UInt16 = 1,
        generator: ScriptedGenerator = ScriptedGenerator()
    ) {
        device = WireGuardDevice(
            privateKey: key,
            clock: TimestampClock(anchor: .zero, unixNanoseconds: unixNanoseconds),
            handshakesPerSecond: handshakesPerSecond,
            generator: generator
        )
        source = AddressPort(.v4(IPv4Address(203, 0, 113, 7)), port: port)
    }

    /// Makes `other` a peer whose every address is allowed.
    @discardableResult
    func add(_ other: TestNode, presharedKey: SecretBytes? = nil) -> PeerIndex {
        device.setPeer(
            other.device.publicKey,
            allowedIPs: [.everyIPv4, .everyIPv6],
            presharedKey: presharedKey
        )
    }

    /// Seals a packet; the message is nil unless it was sealed at once.
    func seal(_ packet: [UInt8], to peer: PeerIndex, now: MonotonicTime) -> (EncapsulateVerdict, [UInt8]?) {
        var buffer = [UInt8](repeating: 0xEE, count: packet.count + MessageLength.transportOverhead)
        var elements = buffer.mutableSpan
        var octets = elements.mutableBytes
        let verdict = device.encapsulate(packet.span, to: peer, into: &octets, now: now)
        guard case .sealed(let range) = verdict else { return (verdict, nil) }
        return (verdict, Array(buffer[range]))
    }

    /// Takes in a datagram; the packet is nil unless there was one.
    func receive(_ datagram: [UInt8], from other: AddressPort? = nil, now: MonotonicTime) -> (
        DecapsulateVerdict, [UInt8]?
    ) {
        var buffer = datagram
        var elements = buffer.mutableSpan
        var octets = elements.mutableBytes
        let verdict = device.decapsulate(&octets, from: other ?? source, now: now)
        guard case .packet(_, let range) = verdict else { return (verdict, nil) }
        return (verdict, Array(buffer[range]))
    }

    /// Takes what the device wants sent.
    func outgoing() -> [[UInt8]] { device.takeOutgoing().map(\.bytes) }

    /// The only session that there is.
    var anyKeypair: Keypair? {
        let sessions = device.peers.compactMap(\.sessions).first
        return sessions?.current ?? sessions?.next
    }
}

/// Carries messages between two nodes until both are silent; returns the packets that each received.
func settle(_ first: TestNode, _ second: TestNode, now: MonotonicTime) -> (first: [[UInt8]], second: [[UInt8]]) {
    var received: (first: [[UInt8]], second: [[UInt8]]) = ([], [])
    for _ in 0..<16 {
        let (fromFirst, fromSecond) = (first.outgoing(), second.outgoing())
        if fromFirst.isEmpty && fromSecond.isEmpty { break }
        for message in fromFirst {
            if let packet = second.receive(message, from: first.source, now: now).1 { received.second.append(packet) }
        }
        for message in fromSecond {
            if let packet = first.receive(message, from: second.source, now: now).1 { received.first.append(packet) }
        }
    }
    return received
}

/// An IPv4 packet of `count` octets from 100.64.0.1 to 100.64.0.2, told apart by `tag`.
func makePacket(_ tag: UInt8 = 0, count: Int = 40) -> [UInt8] {
    var packet = [UInt8](repeating: tag, count: count)
    packet.replaceSubrange(0..<20, with: [0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0, 100, 64, 0, 1, 100, 64, 0, 2])
    packet[2] = UInt8(count >> 8)
    packet[3] = UInt8(count & 255)
    return packet
}

extension MonotonicTime {
    static func seconds(_ seconds: Double) -> MonotonicTime {
        MonotonicTime(nanoseconds: UInt64(seconds * 1_000_000_000))
    }
}
