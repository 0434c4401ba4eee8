import NIOCore
import NetTypes
import Tailcfg

extension MagicSocket {
    /// The STUN servers of a region whose addresses are known and may be asked.
    func targets(of region: DERPRegion, _ effort: NetCheckEffort) -> [NetCheck.Target] {
        guard usesUDP else { return [] }
        return region.nodes.flatMap { node -> [NetCheck.Target] in
            guard let port = node.effectiveSTUNPort else { return [] }
            return addresses(of: node).filter {
                ($0.isIPv4 ? udpIPv4 : udpIPv6) != nil && configuration.dialPolicy.permits($0, for: .stun)
            }.map { NetCheck.Target(region: region.regionID, address: AddressPort($0, port: port), effort: effort) }
        }
    }

    private func addresses(of node: DERPNode) -> [IPAddress] {
        if let test = IPAddress(node.stunTestIP) { return [test] }
        let named = discovery.resolved[node.hostName]?.addresses ?? []
        return [(node.ipv4Reach, true), (node.ipv6Reach, false)].flatMap { reach, isIPv4 in
            switch reach {
            case .address(let address): [address]
            case .dns: named.first { $0.isIPv4 == isIPv4 }.map { [$0] } ?? []
            case .disabled: [IPAddress]()
            }
        }
    }

    /// Looks up what the map gives by name only; what takes too long is there for the next round.
    func resolve(_ nodes: [DERPNode], then proceed: @escaping () -> Void) {
        let now = self.now
        let names = Set(
            nodes.filter { $0.stunTestIP.isEmpty && ($0.ipv4Reach == .dns || $0.ipv6Reach == .dns) }.map(\.hostName)
        ).filter { name in
            // What the resolver said stays good for as long as a full round.
            discovery.resolved[name].map { now - $0.at >= MagicsockConstants.fullReportInterval } ?? true
        }
        guard !names.isEmpty else { return proceed() }
        var missing = names.count
        var hasProceeded = false
        func goOn() {
            guard !hasProceeded else { return }
            hasProceeded = true
            proceed()
        }
        for name in names {
            HostResolver.addresses(of: name, eventLoop: eventLoop).assumeIsolated().whenComplete { [weak self] result in
                if let self, case .success(let addresses) = result { self.discovery.resolved[name] = (addresses, now) }
                missing -= 1
                if missing == 0 { goOn() }
            }
        }
        let limit = TimeAmount.nanoseconds(MagicsockConstants.resolverLimit.wholeNanoseconds)
        eventLoop.assumeIsolated().scheduleTask(in: limit) { goOn() }
    }
}
