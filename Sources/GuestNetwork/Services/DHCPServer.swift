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

    private let addressing: GuestAddressing

    /// The server of a guest; one without an IPv4 address has none to give, and refuses all that clients remember.
    package init(_ addressing: GuestAddressing) {
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

    private func offer(_ message: DHCPv4Message) -> Answer? {
        guard let address = addressing.ipv4 else { return nil }
        var offer = reply(to: message, .offer)
        offer.yourAddress = address
        addLease(to: &offer)
        addConfiguration(to: &offer, for: message)
        return Answer(message: offer, destination: destination(message, address))
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
        guard let address = addressing.ipv4, wanted == address else {
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
        return Answer(message: acknowledgement, destination: destination(message, address))
    }

    private func inform(_ message: DHCPv4Message) -> Answer? {
        guard addressing.ipv4 != nil, !message.clientAddress.isUnspecified else { return nil }
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

    /// Adds what the NIC needs to know: what the client asks for first, in its order, as long as it has room.
    ///
    /// All of it is sent whether asked for or not: busybox asks for no MTU but takes it.
    private func addConfiguration(to reply: inout DHCPv4Message, for message: DHCPv4Message) {
        let asked = (message.options[.parameterRequestList] ?? []).prefix(64).map(DHCPv4OptionCode.init(rawValue:))
        let rank = { (code: DHCPv4OptionCode) in asked.firstIndex(of: code) ?? asked.count }
        // The most needed first, since the order of equals stays.
        let offered = configuration.elements.enumerated().sorted { lhs, rhs in
            (rank(lhs.element.code), lhs.offset) < (rank(rhs.element.code), rhs.offset)
        }
        // Without the option a client takes 576 octets, IP and UDP headers included (RFC 2131 §2).
        let room = max(576, Int(message.options.uint16(.maximumMessageSize) ?? 0)) - 28
        for (_, option) in offered {
            reply.options[option.code] = option.value
            if reply.bytes.count > room { reply.options[option.code] = nil }
        }
    }

    private var configuration: DHCPv4Options {
        let service = TailnetAddresses.serviceIPv4
        var options = DHCPv4Options()
        options.set(.subnetMask, [GuestNetworkConstants.subnetMask])
        // Who takes these routes ignores the routers, and the other way round (RFC 3442). The gateway is in no network
        // of the guest's, so that the way to it comes first.
        options.setClasslessRoutes([(IPPrefix(.v4(service)), .unspecified), (.everyIPv4, service)])
        options.set(.routers, [service])
        options.set(.nameServers, [service])
        options.set(.interfaceMTU, UInt16(clamping: addressing.mtu))
        if !addressing.hostname.isEmpty { options.set(.hostname, addressing.hostname) }
        if let domain = addressing.domain { options.set(.domainName, String(domain.description.dropLast())) }
        if !addressing.searchDomains.isEmpty { options.setDomainSearch(addressing.searchDomains) }
        return options
    }

    // RFC 2131 §4.1.
    private func destination(_ message: DHCPv4Message, _ address: IPv4Address) -> IPv4Address {
        if !message.clientAddress.isUnspecified { return message.clientAddress }
        return message.wantsBroadcast ? .broadcast : address
    }
}
