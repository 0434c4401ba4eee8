package import NetTypes
package import NetWire

/// Gives the guest its node's IPv6 address (RFC 8415 §18.3).
///
/// There is one client and one address, so that nothing has to be remembered: who asks for the address is agreed with,
/// any other address is taken away.
package struct DHCPv6Server: Sendable {
    // A client may have as many interfaces as it likes, but not an answer as long as it likes.
    private static let maximumAssociations = 16
    // What fits a packet of 1280 octets beside the rest of a long answer.
    private static let domainOctets = 512

    private let addressing: GuestAddressing
    private let identifier: [UInt8]

    /// The server of a guest, known by its own hardware address; one without an IPv6 address has nothing to give.
    package init(_ addressing: GuestAddressing, hardwareAddress: MACAddress) {
        self.addressing = addressing
        // DUID-LL of Ethernet (RFC 8415 §11.4).
        var identifier: [UInt8] = [0, 3, 0, 1]
        identifier.append(bigEndian: UInt16(truncatingIfNeeded: hardwareAddress.rawValue >> 32))
        identifier.append(bigEndian: UInt32(truncatingIfNeeded: hardwareAddress.rawValue))
        self.identifier = identifier
    }

    /// Answers a client's message, which came to all servers or to this one's address; nil when none is called for.
    package func answer(_ message: DHCPv6Message, toAll isMulticast: Bool) -> DHCPv6Message? {
        let client = message.clientIdentifier
        let server = message.serverIdentifier
        switch message.kind {
        case .solicit, .confirm, .rebind:
            guard client != nil, server == nil, isMulticast else { return nil }
        case .request, .renew, .release, .decline:
            guard client != nil, server == identifier else { return nil }
            guard isMulticast else { return reply(to: message, [.statusCode(.useMulticast, message: "use multicast")]) }
        case .informationRequest:
            guard server == nil || server == identifier, isMulticast else { return nil }
        default: return nil
        }
        switch message.kind {
        case .solicit: return offer(message)
        case .request, .renew, .rebind:
            return reply(to: message, associations(of: message) + configuration(for: message))
        case .confirm: return confirm(message)
        case .informationRequest:
            let hasAssociations = message.options.contains { [3, 4, 25].contains($0.code) }
            return hasAssociations ? nil : reply(to: message, configuration(for: message))
        // The only address there is stays as it is: released or declined, the client will ask for it again.
        default: return reply(to: message, [.statusCode(.success, message: "")])
        }
    }

    private func offer(_ message: DHCPv6Message) -> DHCPv6Message {
        let offered = associations(of: message) + configuration(for: message)
        if message.options.contains(.rapidCommit) { return reply(to: message, [.rapidCommit] + offered) }
        var advertisement = reply(to: message, [.preference(255)] + offered)
        advertisement.kind = .advertise
        return advertisement
    }

    private func confirm(_ message: DHCPv6Message) -> DHCPv6Message? {
        let addresses = message.options.flatMap { option -> [DHCPv6Address] in
            if case .nonTemporaryAddresses(let association) = option { association.addresses } else { [] }
        }
        guard !addresses.isEmpty else { return nil }
        let isOnLink = addresses.allSatisfy { $0.address == addressing.ipv6 }
        return reply(
            to: message,
            [
                isOnLink
                    ? .statusCode(.success, message: "")
                    : .statusCode(.notOnLink, message: "the node has another address")
            ]
        )
    }

    private func reply(to message: DHCPv6Message, _ options: [DHCPv6Option]) -> DHCPv6Message {
        var reply = DHCPv6Message(.reply, transactionID: message.transactionID)
        if let client = message.clientIdentifier { reply.options.append(.clientIdentifier(client)) }
        reply.options.append(.serverIdentifier(identifier))
        reply.options += options
        return reply
    }

    /// The client's associations with what they get: the first has the address, prefixes there are none.
    private func associations(of message: DHCPv6Message) -> [DHCPv6Option] {
        var result: [DHCPv6Option] = []
        var isGiven = false
        for option in message.options where result.count < Self.maximumAssociations {
            switch option {
            case .nonTemporaryAddresses(let asked):
                let revokes = message.kind == .renew || message.kind == .rebind
                result.append(.nonTemporaryAddresses(answer(to: asked, gives: !isGiven, revokes: revokes)))
                isGiven = true
            case .delegatedPrefixes(let asked):
                result.append(
                    .delegatedPrefixes(
                        DHCPv6Association(
                            identifier: asked.identifier,
                            options: [.statusCode(.noPrefixes, message: "no prefixes")]
                        )
                    )
                )
            default: break
            }
        }
        return result
    }

    private func answer(to asked: DHCPv6Association, gives: Bool, revokes: Bool) -> DHCPv6Association {
        var answer = DHCPv6Association(identifier: asked.identifier)
        if revokes {
            for stale in asked.addresses.prefix(Self.maximumAssociations) where stale.address != addressing.ipv6 {
                let end = DHCPv6Address(address: stale.address, preferredSeconds: 0, validSeconds: 0)
                answer.options.append(.address(end))
            }
        }
        if gives, let address = addressing.ipv6 {
            let seconds = addressing.leaseSeconds
            answer.renewalSeconds = seconds / 2
            answer.rebindingSeconds = seconds - seconds / 5
            answer.options.append(
                .address(DHCPv6Address(address: address, preferredSeconds: seconds, validSeconds: seconds))
            )
        } else if answer.options.isEmpty {
            answer.options.append(.statusCode(.noAddresses, message: "no address"))
        }
        return answer
    }

    /// What the NIC needs to know beside its address, asked for or not, as in DHCP for IPv4.
    private func configuration(for message: DHCPv6Message) -> [DHCPv6Option] {
        guard addressing.ipv6 != nil else { return [] }
        var options: [DHCPv6Option] = [.nameServers([TailnetAddresses.serviceIPv6])]
        let domains = addressing.searchList(upTo: Self.domainOctets)
        if !domains.isEmpty { options.append(.domainSearch(domains)) }
        let wantsName = message.options.contains { $0.code == 39 } || message.requestedOptions.contains(39)
        if wantsName, let name = addressing.fullName {
            options.append(.clientFQDN(DHCPv6ClientName(flags: DHCPv6ClientName.noUpdates, name: name)))
        }
        return options
    }
}
