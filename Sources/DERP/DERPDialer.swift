import NIOCore
import NIOHTTP1
import NetTypes
import Tailcfg
import Transport

/// Opens the byte stream to a node of a region: TCP, TLS, and the upgrade.
struct DERPDialer {
    let eventLoop: any EventLoop
    let policy: any DialPolicy
    let proxies: ProxySettings
    let scope: DialScope

    /// Tries the nodes that speak DERP in their order, each for at most 1.5 s, until one accepts.
    func dial(_ region: DERPRegion) -> EventLoopFuture<(any Channel, DERPNode)> {
        dial(region.nodes.filter { !$0.stunOnly }[...])
    }

    private func dial(_ nodes: ArraySlice<DERPNode>) -> EventLoopFuture<(any Channel, DERPNode)> {
        guard let node = nodes.first else { return eventLoop.makeFailedFuture(DERPError.noUsableNode) }
        return connect(to: node).map { ($0, node) }.flatMapError { error in
            guard nodes.count > 1 else { return eventLoop.makeFailedFuture(DERPError(mapping: error)) }
            return dial(nodes.dropFirst())
        }
    }

    private func connect(to node: DERPNode) -> EventLoopFuture<any Channel> {
        guard let target = node.dialTarget else { return eventLoop.makeFailedFuture(DERPError.noUsableNode) }
        let dialer = StreamDialer(
            eventLoop: eventLoop,
            policy: policy,
            purpose: .derp,
            proxies: proxies
        )
        // Through a proxy the time is the proxy's, which resolves and connects for us.
        let isProxied = dialer.usesProxy(for: target.host, port: target.port)
        let limit = isProxied ? DERPConstants.loginDeadline : DERPConstants.dialDeadline
        return dialer.connect(to: target, isSecure: true, within: TimeAmount(limit), scope: scope)
    }

    /// Upgrades a connection in TLS to frames; `install` adds the handlers that read them.
    static func upgrade(
        _ channel: any Channel,
        to node: DERPNode,
        in region: DERPRegion,
        byWebSocket: Bool,
        install: @escaping (any Channel) throws -> Void
    ) -> EventLoopFuture<Void> {
        let name = IPAddress(node.hostName).map(\.isIPv4) == false ? "[\(node.hostName)]" : node.hostName
        let authority = node.effectiveDERPPort == 443 ? name : "\(name):\(node.effectiveDERPPort)"
        if byWebSocket {
            return WebSocketClient.upgrade(
                channel,
                uri: DERPConstants.upgradePath,
                authority: authority,
                subprotocol: DERPConstants.webSocketRoute.subprotocol,
                limits: DERPConstants.webSocketRoute.limits,
                install: install
            )
        }
        var headers: HTTPHeaders = [
            "Host": authority, "User-Agent": "warren", "Upgrade": DERPConstants.upgradeToken, "Connection": "Upgrade",
        ]
        // Tells the operator that the region's first node was out of reach.
        if let ideal = region.nodes.first, ideal.name != node.name {
            headers.add(name: "Ideal-Node", value: ideal.name)
        }
        let head = HTTPRequestHead(version: .http1_1, method: .GET, uri: DERPConstants.upgradePath, headers: headers)
        return HTTPHandover.run(
            head,
            on: channel,
            accepts: { reply throws(TransportError) in
                let token = reply.headers.first(name: "Upgrade")?.lowercased()
                guard reply.status == .switchingProtocols, token == DERPConstants.upgradeToken.lowercased() else {
                    throw .upgradeRefused(status: Int(reply.status.code))
                }
            },
            install: install
        )
    }
}

extension DERPNode {
    /// Where the node is dialled; nil when both families are disabled.
    var dialTarget: DialTarget? {
        let reaches = [ipv4Reach, ipv6Reach]
        let addresses = reaches.compactMap { reach in
            if case .address(let address) = reach { address } else { nil }
        }
        let port = Int(effectiveDERPPort)
        if !addresses.isEmpty { return DialTarget(host: hostName, port: port, addresses: addresses) }
        var families: DialTarget.Families = []
        if ipv4Reach == .dns { families.insert(.ipv4) }
        if ipv6Reach == .dns { families.insert(.ipv6) }
        return families.isEmpty ? nil : DialTarget(host: hostName, port: port, families: families)
    }
}

extension DERPError {
    /// The cause behind an error of the network stack.
    init(mapping error: any Error) {
        if let error = error as? DERPError {
            self = error
            return
        }
        self =
            switch TransportError(mapping: error) {
            case .blockedByPolicy: .blockedByPolicy
            case .unreachable: .unreachable
            case .tlsFailed: .tlsFailed
            case .proxyUnreachable(let name): .proxyUnreachable(name)
            case .proxyRefused(let name, let status): .proxyRefused(name, status: status)
            case .upgradeRefused(let status): .upgradeRefused(status: status)
            case .malformedReply, .webSocketViolation: .badGreeting
            case .timedOut: .timedOut
            case .connectionClosed: .connectionClosed
            }
    }
}
