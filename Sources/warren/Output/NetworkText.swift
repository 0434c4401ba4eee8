import WarrenModel

/// How a VM's node is shown to people.
enum NetworkText {
    /// The node, what it measured, and its peers.
    static func page(_ detail: NetworkDetail) -> String {
        let network = detail.status
        var card = Card()
        card.add("State", "\(network.state.rawValue) since \(network.since)")
        card.add("Reason", network.stateReason.map { "\($0.message) (\($0.code))" })
        card.add("Login URL", network.loginUrl)
        card.add("Addresses", network.addresses.joined(separator: " "))
        card.add("DNS name", network.dnsName)
        card.add("Key ends", network.keyExpiry?.description)
        card.add("Internet", network.internet.description)
        if let netcheck = detail.netcheck {
            card.add("UDP", netcheck.udp ? "works" : "blocked")
            card.add("NAT", netcheck.nat?.rawValue)
            card.add("Endpoints", netcheck.endpoints.joined(separator: " "))
            let regions = netcheck.derpLatencyMs.sorted { $0.value < $1.value }
            card.add("DERP", regions.map { "\($0.key) \(milliseconds($0.value))" }.joined(separator: ", "))
            card.add("Home DERP", netcheck.home)
        }
        card.add("Search domains", detail.dns.searchDomains.joined(separator: " "))
        card.add("Resolvers", detail.dns.resolvers.joined(separator: " "))
        card.add("Health", network.health.joined(separator: "; "))
        guard !detail.peers.isEmpty else { return card.text }
        var table = Table("PEER", "ADDRESS", "ONLINE", "PATH", "LATENCY", "RECEIVED", "SENT", "ROUTES")
        for peer in detail.peers {
            table.add(
                peer.name,
                peer.addresses.first,
                peer.online.map { $0 ? "yes" : "no" },
                peer.endpoint.map { "direct \($0)" } ?? peer.path,
                peer.latencyMs.map(milliseconds),
                String(peer.rxBytes),
                String(peer.txBytes),
                peer.routes.joined(separator: " ")
            )
        }
        return card.text + "\n\n" + table.text
    }

    /// One line a reply.
    static func replies(_ answer: NetworkPingAnswer) -> String {
        answer.replies.map { reply in
            if let error = reply.error { return "\(answer.peer) (\(answer.address)): \(error)" }
            let way = reply.endpoint ?? reply.path ?? "-"
            return "\(answer.peer) (\(answer.address)) by \(way): \(milliseconds(reply.latencyMs ?? 0))"
        }.joined(separator: "\n")
    }

    private static func milliseconds(_ value: Double) -> String {
        let tenths = Int((value * 10).rounded())
        return "\(tenths / 10).\(tenths % 10) ms"
    }
}
