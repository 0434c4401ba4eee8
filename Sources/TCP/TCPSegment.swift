package import NetTypes
package import NetWire

/// A TCP segment out of an IP packet, or for one (RFC 9293 §3.1); of the options only the maximum segment size is known.
package struct TCPSegment: Equatable, Sendable {
    /// The number of the first octet, or of SYN.
    package var sequence: UInt32
    /// The next octet expected, when ACK is set.
    package var acknowledgement: UInt32
    /// The control bits.
    package var flags: TCPFlags
    /// How much the sender takes, unscaled.
    package var window: UInt16
    /// The largest payload that the sender of a SYN takes.
    package var maximumSegment: UInt16?
    /// What is carried.
    package var payload: [UInt8]

    /// A segment of these fields.
    package init(
        sequence: UInt32,
        acknowledgement: UInt32,
        flags: TCPFlags,
        window: UInt16 = 0,
        maximumSegment: UInt16? = nil,
        payload: [UInt8] = []
    ) {
        self.sequence = sequence
        self.acknowledgement = acknowledgement
        self.flags = flags
        self.window = window
        self.maximumSegment = maximumSegment
        self.payload = payload
    }

    /// Reads the segment of a whole packet; nil when it is cut off or its checksum is wrong.
    package init?(parsing packet: Span<UInt8>, _ parsed: ParsedPacket) {
        guard parsed.ipProtocol == .tcp, parsed.fragment == .whole else { return nil }
        let transport = packet.extracting(parsed.transportOffset..<parsed.byteCount)
        guard let header = try? TCPHeader(parsing: transport),
            var sum = Self.pseudoHeader(parsed.source, parsed.destination, transport.count)
        else { return nil }
        sum.add(transport)
        guard sum.value == 0 else { return nil }
        self.init(
            sequence: header.sequenceNumber,
            acknowledgement: header.acknowledgementNumber,
            flags: header.flags,
            window: header.window,
            maximumSegment: Self.maximumSegment(transport.extracting(TCPHeader.byteCount..<header.headerByteCount)),
            payload: transport.extracting(header.headerByteCount..<transport.count).array
        )
    }

    /// How many numbers the segment takes: its octets, SYN and FIN.
    package var sequenceCount: UInt32 {
        UInt32(payload.count) + (flags.contains(.syn) ? 1 : 0) + (flags.contains(.fin) ? 1 : 0)
    }

    /// The whole IP packet with its checksums; nil when the families differ.
    package func packet(from source: AddressPort, to target: AddressPort) -> [UInt8]? {
        let headerByteCount = TCPHeader.byteCount + (maximumSegment == nil ? 0 : 4)
        let byteCount = headerByteCount + payload.count
        guard var sum = Self.pseudoHeader(source.address, target.address, byteCount) else { return nil }
        var transport: [UInt8] = []
        transport.reserveCapacity(byteCount)
        transport.append(bigEndian: source.port)
        transport.append(bigEndian: target.port)
        transport.append(bigEndian: sequence)
        transport.append(bigEndian: acknowledgement)
        transport.append(bigEndian: UInt16(headerByteCount / 4) << 12 | UInt16(flags.rawValue))
        transport.append(bigEndian: window)
        transport.append(bigEndian: UInt32(0))
        if let maximumSegment {
            transport.append(bigEndian: UInt16(0x0204))
            transport.append(bigEndian: maximumSegment)
        }
        transport += payload
        sum.add(transport.span)
        transport[16] = UInt8(truncatingIfNeeded: sum.value >> 8)
        transport[17] = UInt8(truncatingIfNeeded: sum.value)
        return Self.wrap(transport, source.address, target.address)
    }

    /// The segment that tells the sender of this one that there is no such connection (RFC 9293 §3.10.7.1); nil for a reset.
    package var reset: TCPSegment? {
        guard !flags.contains(.rst) else { return nil }
        return flags.contains(.ack)
            ? TCPSegment(sequence: acknowledgement, acknowledgement: 0, flags: .rst)
            : TCPSegment(sequence: 0, acknowledgement: sequence &+ sequenceCount, flags: [.rst, .ack])
    }

    private static func maximumSegment(_ options: Span<UInt8>) -> UInt16? {
        var offset = 0
        while offset < options.count, options[offset] != 0 {
            if options[offset] == 1 {
                offset += 1
                continue
            }
            guard offset + 1 < options.count else { return nil }
            let length = Int(options[offset + 1])
            guard length >= 2, offset + length <= options.count else { return nil }
            if options[offset] == 2, length == 4 { return options.bigEndian(at: offset + 2) }
            offset += length
        }
        return nil
    }

    private static func pseudoHeader(_ source: IPAddress, _ target: IPAddress, _ byteCount: Int) -> InternetChecksum? {
        switch (source, target) {
        case (.v4(let source), .v4(let target)):
            IPv4Header(ipProtocol: .tcp, source: source, destination: target, payloadByteCount: byteCount)
                .pseudoHeader(payloadByteCount: byteCount)
        case (.v6(let source), .v6(let target)):
            IPv6Header(nextHeader: .tcp, source: source, destination: target, payloadByteCount: byteCount)
                .pseudoHeader(of: .tcp, byteCount: byteCount)
        default: nil
        }
    }

    private static func wrap(_ transport: [UInt8], _ source: IPAddress, _ target: IPAddress) -> [UInt8]? {
        switch (source, target) {
        case (.v4(let source), .v4(let target)):
            let header = IPv4Header(
                ipProtocol: .tcp,
                source: source,
                destination: target,
                payloadByteCount: transport.count
            )
            return stored(IPv4Header.byteCount) { header.store(into: &$0, at: 0) } + transport
        case (.v6(let source), .v6(let target)):
            let header = IPv6Header(
                nextHeader: .tcp,
                source: source,
                destination: target,
                payloadByteCount: transport.count
            )
            return stored(IPv6Header.byteCount) { header.store(into: &$0, at: 0) } + transport
        default: return nil
        }
    }

    private static func stored(_ byteCount: Int, _ body: (inout MutableRawSpan) -> Void) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: byteCount)
        var elements = bytes.mutableSpan
        var octets = unsafe elements.mutableBytes
        body(&octets)
        return bytes
    }
}

/// Order among sequence numbers, which wrap around (RFC 9293 §3.4).
func precedes(_ left: UInt32, _ right: UInt32) -> Bool { Int32(bitPattern: left &- right) < 0 }
