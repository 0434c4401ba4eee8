import NIOCore
import NetTypes
import NetWire

// Who has which address on the link.
extension GuestLink {
    func decideARP(_ frame: inout ByteBuffer) -> GuestLinkVerdict {
        guard let addressing else { return .drop(.linkDown) }
        let packet: ARPPacket
        do throws(WireError) {
            packet = try ARPPacket(parsing: frame.readableBytesUInt8Span)
        } catch {
            return .drop(.malformedARP)
        }
        switch arp.answer(packet, addressing: addressing) {
        case .reply(let reply):
            frame = composer.frame(reply)
            return .reply
        case .ignore: return .consumed
        case .drop(let reason): return .drop(reason)
        }
    }

    func answerNeighbor(
        _ frame: inout ByteBuffer,
        _ parsed: ParsedPacket,
        _ addressing: GuestAddressing
    ) -> GuestLinkVerdict {
        guard parsed.fragment == .whole, parsed.byteCount <= GuestNetworkConstants.maximumControlByteCount else {
            return .drop(.malformedNeighborDiscovery)
        }
        let header: IPv6Header
        let message: NeighborDiscoveryMessage
        do throws(WireError) {
            header = try IPv6Header(parsing: frame.readableBytesUInt8Span)
            message = try NeighborDiscoveryMessage(
                parsing: frame.readableBytesUInt8Span.extracting(parsed.transportOffset..<parsed.byteCount),
                in: header
            )
        } catch {
            return .drop(.malformedNeighborDiscovery)
        }
        let source = header.source
        switch message {
        case .routerSolicitation:
            guard source.isUnspecified || source.isLinkLocal || addressing.permitsSource(.v6(source)) else {
                return .drop(.spoofedNeighborDiscovery)
            }
            guard let advertisement = advertiser.answer else { return .consumed }
            frame = composer.message(
                .routerAdvertisement(advertisement),
                from: linkLocal,
                to: source.isUnspecified ? .allNodes : source
            )
            return .reply
        case .neighborSolicitation(let target, _):
            switch neighbors.answer(solicitationFor: target, from: source, addressing: addressing) {
            case .reply(let answer, let destination):
                frame = composer.message(answer, from: linkLocal, to: destination)
                return .reply
            case .ignore: return .consumed
            case .drop(let reason): return .drop(reason)
            }
        // Where the guest is, its frames tell.
        case .neighborAdvertisement: return .consumed
        case .routerAdvertisement: return .drop(.spoofedNeighborDiscovery)
        }
    }
}
