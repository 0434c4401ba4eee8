import GuestNetwork
import NIOCore
import NetTypes
import NetWire
import Testing

/// A small reproducible generator (SplitMix64).
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) {
        state = seed
    }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
        return mixed ^ mixed >> 31
    }

    mutating func bytes(upTo limit: Int) -> [UInt8] {
        (0..<Int.random(in: 0...limit, using: &self)).map { _ in UInt8.random(in: 0...255, using: &self) }
    }
}

/// What a guest writes to its NIC, octet by octet.
enum GuestSide {
    static let own = GuestNetworkDefaults.ownHardwareAddress
    static let guest = GuestNetworkDefaults.guestHardwareAddress
    static let address = IPv4Address(100, 64, 0, 1)
    static let peer = IPv4Address(100, 64, 0, 2)
    static let service = TailnetAddresses.serviceIPv4

    static let addressing = GuestAddressing(
        ipv4: address,
        ipv6: IPv6Address("fd7a:115c:a1e0::1"),
        hostname: "web",
        domain: DNSName("tail1.ts.net"),
        searchDomains: [DNSName("tail1.ts.net"), DNSName("corp.example")].compactMap(\.self)
    )

    static func link(configured: Bool = true) -> GuestLink {
        let link = GuestLink(unixTime: { 7 })
        if configured { link.configure(addressing) }
        return link
    }

    static func stored(_ byteCount: Int, _ body: (inout MutableRawSpan) -> Void) -> [UInt8] {
        var result = [UInt8](repeating: 0, count: byteCount)
        var span = result.mutableSpan
        var raw = span.mutableBytes
        body(&raw)
        return result
    }

    static func frame(
        _ payload: [UInt8],
        _ etherType: EtherType = .ipv4,
        to destination: MACAddress = own,
        from source: MACAddress = guest
    ) -> [UInt8] {
        let header = EthernetHeader(destination: destination, source: source, etherType: etherType)
        return stored(14) { header.store(into: &$0, at: 0) } + payload
    }

    static func packet(
        _ ipProtocol: IPProtocol,
        from source: IPv4Address = address,
        to destination: IPv4Address,
        _ payload: [UInt8]
    ) -> [UInt8] {
        let header = IPv4Header(
            ipProtocol: ipProtocol,
            source: source,
            destination: destination,
            payloadByteCount: payload.count
        )
        return stored(20) { header.store(into: &$0, at: 0) } + payload
    }

    static func datagram(
        from source: IPv4Address = address,
        sourcePort: UInt16 = 40000,
        to destination: IPv4Address,
        port destinationPort: UInt16,
        _ payload: [UInt8]
    ) -> [UInt8] {
        var udp = UDPHeader(sourcePort: sourcePort, destinationPort: destinationPort, payloadByteCount: payload.count)
        let header = IPv4Header(
            ipProtocol: .udp,
            source: source,
            destination: destination,
            payloadByteCount: 8 + payload.count
        )
        udp.seal(header.pseudoHeader(payloadByteCount: 8 + payload.count), payload: payload.span)
        let sealed = udp
        return packet(.udp, from: source, to: destination, stored(8) { sealed.store(into: &$0, at: 0) } + payload)
    }

    static func echoRequest(to destination: IPv4Address, _ payload: [UInt8] = [1, 2, 3]) -> [UInt8] {
        let echo = ICMPv4Message(kind: .echoRequest, restOfHeader: 0x0102_0003)
        return packet(
            .icmpv4,
            to: destination,
            stored(8 + payload.count) { echo.store(into: &$0, at: 0, payload: payload.span) }
        )
    }

    static func arp(
        _ target: IPv4Address,
        sender: IPv4Address = address,
        operation: ARPPacket.Operation = .request
    ) -> [UInt8] {
        let packet = ARPPacket(
            operation: operation,
            senderHardwareAddress: guest,
            senderAddress: sender,
            targetHardwareAddress: MACAddress(rawValue: 0),
            targetAddress: target
        )
        return frame(
            stored(28) { packet.store(into: &$0, at: 0) } + [UInt8](repeating: 0, count: 18),
            .arp,
            to: .broadcast
        )
    }
}

extension GuestLink {
    /// Gives the link a frame; the octets are what the buffer holds afterwards.
    func receive(_ bytes: [UInt8]) -> (verdict: GuestLinkVerdict, bytes: [UInt8]) {
        var buffer = ByteBuffer(bytes: bytes)
        let verdict = receive(frame: &buffer)
        return (verdict, Array(buffer.readableBytesView))
    }

    /// Gives the link a frame that must be answered, and takes the answer's IPv4 packet apart.
    func answer(to bytes: [UInt8]) throws -> (ethernet: EthernetHeader, ipv4: IPv4Header, payload: [UInt8]) {
        let (verdict, reply) = receive(bytes)
        try #require(verdict == .reply)
        let ethernet = try EthernetHeader(parsing: reply.span)
        let packet = Array(reply[14...])
        let ipv4 = try IPv4Header(parsing: packet.span)
        let isValid = ipv4.isChecksumValid(packet.span) && ipv4.totalByteCount == packet.count
        #expect(isValid)
        return (ethernet, ipv4, Array(packet[20...]))
    }

    /// Asks by UDP and returns the answer's payload.
    func ask(_ packet: [UInt8], to destination: MACAddress = GuestSide.own) throws -> (
        ethernet: EthernetHeader, ipv4: IPv4Header, udp: UDPHeader, payload: [UInt8]
    ) {
        let answer = try answer(to: GuestSide.frame(packet, to: destination))
        let udp = try UDPHeader(parsing: answer.payload.span)
        let isValid = udp.isChecksumValid(
            answer.ipv4.pseudoHeader(payloadByteCount: answer.payload.count),
            datagram: answer.payload.span
        )
        #expect(isValid)
        return (answer.ethernet, answer.ipv4, udp, Array(answer.payload[8...]))
    }
}
