package import NetTypes
package import NetWire

/// Gives the guest its node's tailnet address (RFC 2131).
///
/// There is one client and one address, so that nothing has to be remembered: a client that asks for the address is
/// agreed with, one that asks for another is refused and begins again.
package struct DHCPServer: Sendable {
    /// An answer and where it goes.
    package struct Answer: Equatable, Sendable {
        /// The message.
        package let message: DHCPv4Message
        /// `255.255.255.255` or the client's address.
        package let destination: IPv4Address
    }

    private let address: IPv4Address
    private let addressing: GuestAddressing

    /// The server of a guest; nil when it has no IPv4 address.
    package init?(_ addressing: GuestAddressing) {
        guard let address = addressing.ipv4 else { return nil }
        self.address = address
        self.addressing = addressing
    }

    /// Answers a client's message; nil when none is called for.
    package func answer(_ message: DHCPv4Message) -> Answer? {
        guard !message.isFromServer, message.relayAddress.isUnspecified, let type = message.type else { return nil }
        switch type {
        case .discover: return offer(message)
        case .request: return decide(message)
        case .inform: return inform(message)
        // The only address there is stays as it is: released or declined, the client will ask for it again.
        default: return nil
        }
    }

    private func offer(_ message: DHCPv4Message) -> Answer {
        var offer = reply(to: message, .offer)
        offer.yourAddress = address
        addLease(to: &offer)
        addConfiguration(to: &offer, for: message)
        return Answer(message: offer, destination: destination(message))
    }

    // RFC 2131 §4.3.2: the four states of a client tell themselves apart by what they fill in.
    private func decide(_ message: DHCPv4Message) -> Answer? {
        let wanted: IPv4Address
        if let server = message.serverIdentifier {
            // Selecting: another server's offer was taken.
            guard server == TailnetAddresses.serviceIPv4 else { return nil }
            wanted = message.requestedAddress ?? message.clientAddress
        } else if let requested = message.requestedAddress {
            // After a reboot, from memory.
            wanted = requested
        } else if !message.clientAddress.isUnspecified {
            // Renewing or rebinding.
            wanted = message.clientAddress
        } else {
            return nil
        }
        guard wanted == address else {
            var refusal = reply(to: message, .nak)
            refusal.options.set(.message, "the node has another address")
            // The client's address is the one that it must no longer use, so it can only be reached by all.
            refusal.wantsBroadcast = true
            return Answer(message: refusal, destination: .broadcast)
        }
        var acknowledgement = reply(to: message, .ack)
        acknowledgement.yourAddress = address
        acknowledgement.clientAddress = message.clientAddress
        addLease(to: &acknowledgement)
        addConfiguration(to: &acknowledgement, for: message)
        return Answer(message: acknowledgement, destination: destination(message))
    }

    private func inform(_ message: DHCPv4Message) -> Answer? {
        guard !message.clientAddress.isUnspecified else { return nil }
        var acknowledgement = reply(to: message, .ack)
        acknowledgement.clientAddress = message.clientAddress
        addConfiguration(to: &acknowledgement, for: message)
        return Answer(message: acknowledgement, destination: message.clientAddress)
    }

    private func reply(to message: DHCPv4Message, _ type: DHCPv4MessageType) -> DHCPv4Message {
        var reply = DHCPv4Message(
            isFromServer: true,
            transactionID: message.transactionID,
            clientHardwareAddress: message.clientHardwareAddress
        )
        reply.wantsBroadcast = message.wantsBroadcast
        reply.type = type
        reply.options.set(.serverIdentifier, [TailnetAddresses.serviceIPv4])
        // RFC 6842 wants it back.
        if let identifier = message.options[.clientIdentifier] { reply.options[.clientIdentifier] = identifier }
        return reply
    }

    private func addLease(to reply: inout DHCPv4Message) {
        let seconds = addressing.leaseSeconds
        reply.options.set(.leaseSeconds, seconds)
        // The fractions of RFC 2131 §4.4.5.
        reply.options.set(.renewalSeconds, seconds / 2)
        reply.options.set(.rebindingSeconds, seconds - seconds / 8)
    }

    /// Adds what the NIC needs to know, the most needed first, as long as the client has room.
    ///
    /// All of it is sent whether asked for or not: busybox asks for no MTU but takes it.
    private func addConfiguration(to reply: inout DHCPv4Message, for message: DHCPv4Message) {
        let service = TailnetAddresses.serviceIPv4
        reply.options.set(.subnetMask, [GuestNetworkConstants.subnetMask])
        reply.options.set(.routers, [service])
        reply.options.set(.nameServers, [service])
        reply.options.set(.interfaceMTU, UInt16(clamping: addressing.mtu))
        // Without the option a client takes 576 octets, IP and UDP headers included (RFC 2131 §2).
        let room = max(576, Int(message.options.uint16(.maximumMessageSize) ?? 0)) - 28
        if !addressing.hostname.isEmpty {
            add(to: &reply, room: room) { $0.set(.hostname, addressing.hostname) }
        }
        if let domain = addressing.domain {
            add(to: &reply, room: room) { $0.set(.domainName, String(domain.description.dropLast())) }
        }
        if !addressing.searchDomains.isEmpty {
            add(to: &reply, room: room) { $0.setDomainSearch(addressing.searchDomains) }
        }
    }

    private func add(to reply: inout DHCPv4Message, room: Int, _ change: (inout DHCPv4Options) -> Void) {
        let before = reply.options
        change(&reply.options)
        if reply.bytes.count > room { reply.options = before }
    }

    // RFC 2131 §4.1.
    private func destination(_ message: DHCPv4Message) -> IPv4Address {
        if !message.clientAddress.isUnspecified { return message.clientAddress }
        return message.wantsBroadcast ? .broadcast : address
    }
}
