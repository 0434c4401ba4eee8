package import NIOCore
package import NetTypes
import NetWire

/// The Ethernet segment of one guest: frames in, IP packets out, and everything that ends on the link answered on the spot.
///
/// On the node's event loop. Nothing is allocated for a packet that is forwarded or delivered.
package final class GuestLink {
    /// What has passed so far.
    package private(set) var counters = GuestLinkCounters()
    /// What the guest's NIC is given; nil while the node has no place in a tailnet.
    package private(set) var addressing: GuestAddressing?
    /// The NIC's address: QEMU's, or what the guest made of it.
    ///
    /// Learned from every frame of the guest that was of use, never from one that was dropped: a bridge in the guest may
    /// let other stations' frames through. The guest can mislead nobody but itself, since nobody else is on its link.
    package private(set) var guestHardwareAddress: MACAddress

    /// The router's IPv6 address on the link.
    let linkLocal: IPv6Address
    let unixTime: () -> UInt32
    let arp: ARPResponder
    let neighbors: NeighborResponder
    private(set) var advertiser: RouterAdvertiser
    private(set) var dhcp: DHCPServer?
    private(set) var dhcpv6: DHCPv6Server?
    private(set) var resolver = MagicDNSResponder()
    var dnsStreams = DNSStreamService(mtu: GuestNetworkConstants.mtu)
    let now: () -> MonotonicTime
    // Tells the fragments of one large answer from those of the next.
    var fragmentIdentification: UInt32 = 0
    private let hardwareAddress: MACAddress

    /// A link that serves nothing yet.
    ///
    /// - Parameters:
    ///   - hardwareAddress: Our end.
    ///   - guestHardwareAddress: The guest's, until it is learned.
    ///   - unixTime: Asked for when the resolver tells a zone's serial number.
    ///   - now: The clock of the resolver's TCP connections.
    package init(
        hardwareAddress: MACAddress = GuestNetworkDefaults.ownHardwareAddress,
        guestHardwareAddress: MACAddress = GuestNetworkDefaults.guestHardwareAddress,
        unixTime: @escaping () -> UInt32,
        now: @escaping () -> MonotonicTime = { MonotonicTime(nanoseconds: NIODeadline.now().uptimeNanoseconds) }
    ) {
        self.now = now
        self.hardwareAddress = hardwareAddress
        self.guestHardwareAddress = guestHardwareAddress
        self.unixTime = unixTime
        linkLocal = IPv6Address(linkLocalOf: hardwareAddress)
        arp = ARPResponder(hardwareAddress: hardwareAddress)
        neighbors = NeighborResponder(hardwareAddress: hardwareAddress, linkLocal: linkLocal)
        advertiser = RouterAdvertiser(hardwareAddress: hardwareAddress)
    }

    /// Gives the guest its addresses and name, or with nil takes them away: then nothing passes.
    ///
    /// What is returned is a frame that the guest must get, because something changed that it believes.
    @discardableResult
    package func configure(_ addressing: GuestAddressing?) -> ByteBuffer? {
        guard addressing != self.addressing else { return nil }
        self.addressing = addressing
        dhcp = addressing.map(DHCPServer.init)
        dnsStreams = DNSStreamService(mtu: addressing?.mtu ?? GuestNetworkConstants.mtu)
        dhcpv6 = addressing.map { DHCPv6Server($0, hardwareAddress: hardwareAddress) }
        advertiser.configure(addressing)
        return announcement()
    }

    /// The frame that tells the guest, unasked, of its IPv6 router; nil when there is nothing to tell.
    package func announcement() -> ByteBuffer? {
        guard let advertisement = advertiser.announcement() else { return nil }
        let frame = composer.message(.routerAdvertisement(advertisement), from: linkLocal, to: .allNodes)
        countOut(frame.readableBytes)
        return frame
    }

    /// Tells the resolver what it knows from now on.
    package func setZone(_ zone: DNSZone) {
        resolver.zone = zone
    }

    /// Tells the resolver which nodes are gone, then which ones came.
    package func changeZone(leaving: [DNSZone.Node], joining: [DNSZone.Node]) {
        for node in leaving { resolver.zone.remove(node) }
        for node in joining { resolver.zone.insert(node) }
    }

    /// Deals with a frame from the guest; the verdict says what the buffer holds afterwards.
    package func receive(frame: inout ByteBuffer) -> GuestLinkVerdict {
        counters.framesIn &+= 1
        counters.octetsIn &+= UInt64(frame.readableBytes)
        let known = guestHardwareAddress
        let verdict = decide(&frame)
        switch verdict {
        case .forward: counters.forwarded &+= 1
        case .reply: countOut(frame.readableBytes)
        case .drop(let reason):
            guestHardwareAddress = known
            counters.count(reason)
        case .resolve, .stream, .consumed: break
        }
        return verdict
    }

    /// Puts a packet for the guest into `batch`; a packet that does not go there is counted under the reason returned.
    @discardableResult
    package func send(packet: Span<UInt8>, into batch: inout NICFrameBatch) -> GuestDropReason? {
        var reason: GuestDropReason?
        if addressing == nil {
            reason = .linkDown
        } else if packet.isEmpty
            || packet.count > GuestNetworkConstants.maximumFrameByteCount - EthernetHeader.byteCount
        {
            reason = .malformedPacket
        } else {
            let header = EthernetHeader(
                destination: guestHardwareAddress,
                source: hardwareAddress,
                etherType: packet[0] >> 4 == 6 ? .ipv6 : .ipv4
            )
            if batch.append(packet: packet, behind: header) {
                countOut(EthernetHeader.byteCount + packet.count)
            } else {
                reason = .guestBusy
            }
        }
        if let reason { counters.count(reason) }
        return reason
    }

    /// The frame that tells the guest why a packet of its own went nowhere; nil when none may be told.
    package func error(_ kind: GuestICMPError, for packet: Span<UInt8>) -> ByteBuffer? {
        guard let parsed = try? ParsedPacket(parsing: packet),
            let frame = kind.frame(for: packet, parsed, composer)
        else { return nil }
        countOut(frame.readableBytes)
        return frame
    }

    var composer: FrameComposer {
        FrameComposer(source: hardwareAddress, destination: guestHardwareAddress)
    }

    private func countOut(_ byteCount: Int) {
        counters.framesOut &+= 1
        counters.octetsOut &+= UInt64(byteCount)
    }

    private func decide(_ frame: inout ByteBuffer) -> GuestLinkVerdict {
        let header: EthernetHeader
        do throws(WireError) {
            header = try EthernetHeader(parsing: frame.readableBytesUInt8Span)
        } catch {
            return .drop(.runtFrame)
        }
        guard !header.source.isMulticast, header.source != hardwareAddress else { return .drop(.badHardwareAddress) }
        guard header.destination == hardwareAddress || header.destination.isMulticast else {
            return .drop(.otherStation)
        }
        guestHardwareAddress = header.source
        switch header.etherType {
        case .ipv4, .ipv6:
            frame.moveReaderIndex(forwardBy: EthernetHeader.byteCount)
            return decidePacket(&frame, header)
        case .arp:
            frame.moveReaderIndex(forwardBy: EthernetHeader.byteCount)
            return decideARP(&frame)
        case .vlan: return .drop(.taggedFrame)
        default: return .drop(.unknownEtherType)
        }
    }

    private func decidePacket(_ frame: inout ByteBuffer, _ header: EthernetHeader) -> GuestLinkVerdict {
        let parsed: ParsedPacket
        do throws(WireError) {
            parsed = try ParsedPacket(parsing: frame.readableBytesUInt8Span)
        } catch {
            // Every IPv6 host reports which groups it listens to, behind a header that is not classified here.
            return .drop(Self.isMulticastIPv6(frame.readableBytesUInt8Span) ? .multicast : .malformedPacket)
        }
        guard parsed.source.isIPv4 == (header.etherType == .ipv4) else { return .drop(.malformedPacket) }
        // Ethernet pads short packets.
        frame.moveWriterIndex(to: frame.readerIndex + parsed.byteCount)
        guard let addressing else { return .drop(.linkDown) }
        if parsed.ipProtocol == .udp {
            if isDHCP(parsed) { return answerDHCP(&frame, parsed) }
            if isDHCPv6(parsed) { return answerDHCPv6(&frame, parsed) }
        } else if parsed.isICMPv6, NeighborDiscoveryMessage.isMessage(icmpType: parsed.icmpType) {
            return answerNeighbor(&frame, parsed, addressing)
        }
        // A frame for everyone carries a packet for everyone, also when its address does not show it, as that of
        // a directed broadcast.
        if header.destination.isMulticast || parsed.destination.isMulticast || parsed.destination == .v4(.broadcast) {
            return .drop(.multicast)
        }
        let isForUs = isOurs(parsed.destination)
        if parsed.source.isLinkLocal || parsed.destination.isLinkLocal {
            // A guest that has no IPv6 address yet speaks to its router, and asks its resolver, from the link's.
            guard isForUs, !parsed.source.isIPv4 else { return .drop(.linkLocal) }
        } else if !addressing.permitsSource(parsed.source) {
            return .drop(.spoofedSource)
        }
        if isForUs { return answerService(&frame, parsed) }
        if addressing.isOwn(parsed.destination) { return .drop(.ownDestination) }
        if parsed.ipProtocol == .tsmp { return .drop(.reservedProtocol) }
        if parsed.byteCount > addressing.mtu {
            guard
                let error = GuestICMPError.tooBig(mtu: addressing.mtu)
                    .frame(for: frame.readableBytesUInt8Span, parsed, composer)
            else { return .drop(.tooBig) }
            frame = error
            return .reply
        }
        return .forward(parsed)
    }

    private func isOurs(_ address: IPAddress) -> Bool {
        switch address {
        case .v4(let address): address == TailnetAddresses.serviceIPv4
        case .v6(let address): address == TailnetAddresses.serviceIPv6 || address == linkLocal
        }
    }

    private static func isMulticastIPv6(_ packet: Span<UInt8>) -> Bool {
        packet.count >= IPv6Header.byteCount && packet[0] >> 4 == 6 && packet[24] == 0xFF
    }
}
