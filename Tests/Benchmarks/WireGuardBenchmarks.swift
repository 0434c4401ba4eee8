import NetTypes
import WarrenCrypto
import WireGuard

/// Two devices with a session, as the data path uses them.
private final class SessionPair {
    let sender: WireGuardDevice
    let receiver: WireGuardDevice
    let toReceiver: PeerIndex
    private(set) var now = MonotonicTime(nanoseconds: 1_000_000_000)
    let source = AddressPort(.v4(.loopback), port: 41641)

    init() {
        func device() -> WireGuardDevice {
            WireGuardDevice(
                privateKey: NodePrivateKey(),
                clock: TimestampClock(anchor: .zero, unixNanoseconds: 1_800_000_000_000_000_000)
            )
        }
        (sender, receiver) = (device(), device())
        toReceiver = sender.setPeer(receiver.publicKey, allowedIPs: [])
        let address = IPPrefix(.v4(IPv4Address(100, 64, 0, 1)))
        let toSender = receiver.setPeer(sender.publicKey, allowedIPs: [address])
        handshake()
        precondition(sender.hasSession(with: toReceiver, now: now) && receiver.hasSession(with: toSender, now: now))
    }

    /// Makes a session anew, both roles and the first packet included.
    func handshake() {
        sender.resetSessions(of: toReceiver)
        now = now + .seconds(6)
        var packet = makePacket()
        _ = seal(&packet)
        for _ in 0..<4 {
            for message in sender.takeOutgoing() { deliver(message.bytes, to: receiver) }
            for message in receiver.takeOutgoing() { deliver(message.bytes, to: sender) }
        }
    }

    private func deliver(_ message: [UInt8], to device: WireGuardDevice) {
        var buffer = message
        var elements = buffer.mutableSpan
        var octets = elements.mutableBytes
        _ = device.decapsulate(&octets, from: source, now: now)
    }

    /// Seals a packet that lies behind room for a header.
    func seal(_ buffer: inout [UInt8]) -> Bool {
        var elements = buffer.mutableSpan
        var octets = elements.mutableBytes
        let verdict = sender.encapsulate(
            &octets,
            packetAt: MessageLength.transportHeader,
            count: packetByteCount,
            to: toReceiver,
            now: now
        )
        guard case .sealed = verdict else { return false }
        return true
    }

    /// Opens a message where it is.
    func open(_ buffer: inout [UInt8]) -> Bool {
        var elements = buffer.mutableSpan
        var octets = elements.mutableBytes
        guard case .packet = receiver.decapsulate(&octets, from: source, now: now) else { return false }
        return true
    }
}

private let packetByteCount = 1280
// Messages sealed ahead of being opened: they fit the second-level cache, as a burst from the network would.
private let burstCount = 128

/// A packet between room for the header and room for the tag; its length needs no padding.
private func makePacket() -> [UInt8] {
    var packet = [UInt8](repeating: 0x5A, count: MessageLength.keepalive + packetByteCount)
    let header: [UInt8] = [
        0x45, 0, UInt8(packetByteCount >> 8), UInt8(packetByteCount & 255), 0, 0, 0, 0, 64, 17, 0, 0, 100, 64, 0, 1,
        100, 64, 0, 2,
    ]
    packet.replaceSubrange(16..<36, with: header)
    return packet
}

private func megabitsPerSecond(_ messages: Int, _ seconds: Double) -> Double {
    Double(messages * packetByteCount * 8) / seconds / 1e6
}

private func lines(_ operation: String, _ figures: (first: Double, second: Double)) -> [Measurement] {
    [
        Measurement(name: "wireguard_\(operation)_mbps", value: figures.first, unit: "Mbit/s"),
        Measurement(name: "libcrypto_\(operation)_mbps", value: figures.second, unit: "Mbit/s"),
        Measurement(
            name: "wireguard_\(operation)_share",
            value: figures.first / figures.second * 100,
            unit: "percent"
        ),
    ]
}

/// Sealing and opening 1280 octets on one core, beside a bare loop over libcrypto.
let wireGuardBenchmarks: [Benchmark] = [
    Benchmark(name: "wireguard_seal") {
        let pair = SessionPair()
        let loop = LibCryptoLoop(key: [UInt8](repeating: 7, count: 32))
        let rounds = 100_000
        var buffer = makePacket()
        var bare = buffer
        let figures = compare {
            let time = seconds { for _ in 0..<rounds { precondition(pair.seal(&buffer)) } }
            return megabitsPerSecond(rounds, time)
        } _: {
            let time = seconds {
                bare.withUnsafeMutableBufferPointer { buffer in
                    guard let start = buffer.baseAddress else { return }
                    for _ in 0..<rounds { loop.seal(start + 16, count: packetByteCount) }
                }
            }
            return megabitsPerSecond(rounds, time)
        }
        return lines("seal", figures)
    },
    Benchmark(name: "wireguard_open") {
        let pair = SessionPair()
        let loop = LibCryptoLoop(key: [UInt8](repeating: 7, count: 32))
        let bursts = 500
        let packet = makePacket()
        var messages = [[UInt8]](repeating: packet, count: burstCount)
        let figures = compare {
            var time = 0.0
            for _ in 0..<bursts {
                for place in messages.indices {
                    messages[place] = packet
                    precondition(pair.seal(&messages[place]))
                }
                time += seconds { for place in messages.indices { precondition(pair.open(&messages[place])) } }
            }
            return megabitsPerSecond(bursts * burstCount, time)
        } _: {
            var time = 0.0
            for _ in 0..<bursts {
                let first = loop.nextCounter
                for place in messages.indices {
                    messages[place].withUnsafeMutableBufferPointer { buffer in
                        guard let start = buffer.baseAddress else { return }
                        loop.seal(start + 16, count: packetByteCount)
                    }
                }
                time += seconds {
                    for place in messages.indices {
                        messages[place].withUnsafeMutableBufferPointer { buffer in
                            guard let start = buffer.baseAddress else { return }
                            let opened = loop.open(
                                start + 16,
                                count: packetByteCount,
                                counter: first + UInt64(place)
                            )
                            precondition(opened)
                        }
                    }
                }
            }
            return megabitsPerSecond(bursts * burstCount, time)
        }
        return lines("open", figures)
    },
    Benchmark(name: "wireguard_handshake") {
        let pair = SessionPair()
        let rounds = 200
        let samples = (0..<7).map { _ in
            Double(rounds) / seconds { for _ in 0..<rounds { pair.handshake() } }
        }
        return [Measurement(name: "wireguard_handshakes", value: median(samples), unit: "handshakes/s")]
    },
]
