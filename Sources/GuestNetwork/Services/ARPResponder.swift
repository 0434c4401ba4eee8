import NetTypes
import NetWire

/// Answers for every address of the link but the guest's own (RFC 826, RFC 5227).
///
/// The whole tailnet looks on-link to the guest, so that it asks for each peer; all of them are behind our one address.
struct ARPResponder {
    /// The address that all peers are behind.
    let hardwareAddress: MACAddress

    /// What becomes of an ARP packet.
    enum Verdict: Equatable {
        /// Send this.
        case reply(ARPPacket)
        /// Nothing is to be said.
        case ignore
        /// Drop and count.
        case drop(GuestDropReason)
    }

    /// Decides about a packet of the guest.
    func answer(_ packet: ARPPacket, addressing: GuestAddressing) -> Verdict {
        let sender = packet.senderAddress
        let target = packet.targetAddress
        if sender.isLinkLocal || target.isLinkLocal { return .ignore }
        guard sender.isUnspecified || addressing.permitsSource(.v4(sender)) else { return .drop(.spoofedARP) }
        guard packet.operation == .request else { return .ignore }
        // Probes and announcements of the guest's own address: an answer would tell it that someone else has it.
        if addressing.permitsSource(.v4(target)) || target == sender { return .ignore }
        // A probe for an address that the guest has no right to needs no help from us, save for the gateway's.
        if sender.isUnspecified, target != TailnetAddresses.serviceIPv4 { return .ignore }
        if target.isUnspecified || target.isMulticast || target == .broadcast || target.isLoopback { return .ignore }
        return .reply(
            ARPPacket(
                operation: .reply,
                senderHardwareAddress: hardwareAddress,
                senderAddress: target,
                targetHardwareAddress: packet.senderHardwareAddress,
                targetAddress: sender
            )
        )
    }
}
