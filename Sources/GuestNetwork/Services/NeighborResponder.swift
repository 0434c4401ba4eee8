import NetTypes
import NetWire

/// Answers for every address of the link but the guest's own, as `ARPResponder` does for IPv4 (RFC 4861, RFC 4862).
///
/// A guest that has its address by DHCPv6 asks for the router alone. One that somebody configured by hand with the
/// tailnet as its network asks for every peer; all of them are behind our one address.
struct NeighborResponder {
    /// The address that all peers are behind.
    let hardwareAddress: MACAddress
    /// The router's address on the link.
    let linkLocal: IPv6Address

    /// What becomes of a solicitation.
    enum Verdict: Equatable {
        /// Send this to that address.
        case reply(NeighborDiscoveryMessage, to: IPv6Address)
        /// Nothing is to be said.
        case ignore
        /// Drop and count.
        case drop(GuestDropReason)
    }

    /// Decides about a solicitation of the guest.
    func answer(solicitationFor target: IPv6Address, from source: IPv6Address, addressing: GuestAddressing) -> Verdict {
        let isOurs = target == linkLocal || target == TailnetAddresses.serviceIPv6
        if source.isUnspecified {
            // A probe (RFC 4862 §5.4): only what we use is defended. An answer about the guest's own address would tell
            // it that someone else has it.
            return isOurs ? .reply(advertisement(target, isSolicited: false, overrides: true), to: .allNodes) : .ignore
        }
        guard source.isLinkLocal || addressing.permitsSource(.v6(source)) else {
            return .drop(.spoofedNeighborDiscovery)
        }
        if isOurs { return .reply(advertisement(target, isSolicited: true, overrides: true), to: source) }
        if target == source || target.isLinkLocal || target.isUnspecified || target.isLoopback
            || addressing.permitsSource(.v6(target))
        {
            return .ignore
        }
        // In the name of others nothing is overridden (RFC 4861 §7.2.8).
        return .reply(advertisement(target, isSolicited: true, overrides: false), to: source)
    }

    private func advertisement(
        _ target: IPv6Address,
        isSolicited: Bool,
        overrides: Bool
    ) -> NeighborDiscoveryMessage {
        .neighborAdvertisement(
            .init(
                target: target,
                isRouter: true,
                isSolicited: isSolicited,
                overrides: overrides,
                options: [.targetLinkLayerAddress(hardwareAddress)]
            )
        )
    }
}
