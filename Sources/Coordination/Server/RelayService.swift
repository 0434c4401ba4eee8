import DERP
import FoundationEssentials
import Logging
import NIOCore
import NIOPosix
import NetTypes
import Tailcfg
import WarrenCrypto

/// The relay and the STUN server that the embedded tailnet has by itself, and the map that leads clients there.
struct RelayService: Sendable {
    /// The region's number; 900–999 are for private regions.
    static let regionID = DERPRegionID(rawValue: 900)

    /// The map of this one region, or of none.
    let map: DERPMap
    /// Where DERP is bound.
    let derpAddress: CoordinationServer.BoundAddress?
    /// Where STUN is bound.
    let stunAddress: CoordinationServer.BoundAddress?
    private let relay: DERPRelay?
    private let stun: STUNServer?

    private static let keyName = "derp"

    /// Binds what the configuration asks for; certificate and key are made once and kept, so that pins stay good.
    ///
    /// `publicHost` is what clients dial when a listener takes any address.
    static func start(
        _ configuration: CoordinationConfiguration,
        publicHost: String,
        names: [String: [String]],
        persistence: any CoordinationPersistence,
        admittedKeys: AdmittedKeys,
        group: any EventLoopGroup,
        logger: Logger
    ) async throws -> RelayService {
        var relay: DERPRelay?
        var certificate: DERPCertificate?
        var derpAddress: CoordinationServer.BoundAddress?
        let derpHost = configuration.derp.map { dialledHost($0.host, publicHost) } ?? ""
        if let listen = configuration.derp {
            let own = try await Self.certificate(for: derpHost, persistence)
            var relayConfiguration = DERPRelayConfiguration(
                host: listen.host,
                port: listen.port,
                privateKey: try await privateKey(persistence),
                certificate: own
            )
            relayConfiguration.names = names
            let started = try await DERPRelay.start(
                relayConfiguration,
                eventLoop: group.next(),
                logger: logger,
                admits: { admittedKeys.contains($0) }
            )
            relay = started
            certificate = own
            derpAddress = CoordinationServer.BoundAddress(host: listen.host, port: started.port)
        }
        var stun: STUNServer?
        var stunAddress: CoordinationServer.BoundAddress?
        if let listen = configuration.stun {
            do {
                let started = try await STUNServer.start(
                    host: listen.host,
                    port: listen.port,
                    eventLoop: group.next()
                )
                stun = started
                stunAddress = CoordinationServer.BoundAddress(host: listen.host, port: started.port)
            } catch {
                // The error that matters is the one that stopped us.
                try? await relay?.shutdown()
                throw error
            }
        }
        var nodes: [DERPNode] = []
        if let derpAddress, let certificate {
            var node = node("900a", host: derpHost)
            node.certName = certificate.certName
            node.derpPort = derpAddress.port
            node.stunPort = -1
            nodes.append(node)
        }
        if let stunAddress {
            let host = dialledHost(stunAddress.host, publicHost)
            if let last = nodes.indices.last, nodes[last].hostName == host {
                nodes[last].stunPort = stunAddress.port
            } else {
                var node = node("900b", host: host)
                node.stunPort = stunAddress.port
                node.stunOnly = true
                nodes.append(node)
            }
        }
        return RelayService(
            map: map(of: nodes, beside: configuration.regions),
            derpAddress: derpAddress,
            stunAddress: stunAddress,
            relay: relay,
            stun: stun
        )
    }

    /// Closes the relay connections of keys that are no longer admitted.
    func disconnect(_ keys: [NodePublicKey]) {
        for key in keys { relay?.disconnect(key) }
    }

    /// Sends relay clients away and unbinds.
    func shutdown() async {
        // A relay whose loop is gone has no clients either.
        try? await relay?.shutdown()
        await stun?.shutdown()
    }

    private static func map(of nodes: [DERPNode], beside others: [DERPRegion]) -> DERPMap {
        var map = DERPMap(
            regions: Dictionary(others.map { ($0.regionID, $0) }) { first, _ in first },
            omitDefaultRegions: true
        )
        if !nodes.isEmpty {
            map.regions[regionID] = DERPRegion(
                regionID: regionID,
                regionCode: "warren",
                regionName: "Warren",
                nodes: nodes
            )
        }
        return map
    }

    private static func node(_ name: String, host: String) -> DERPNode {
        var node = DERPNode(name: name, regionID: regionID, hostName: host)
        switch IPAddress(host) {
        case .v4: (node.ipv4, node.ipv6) = (host, "none")
        case .v6: (node.ipv4, node.ipv6) = ("none", host)
        case nil: break
        }
        return node
    }

    /// A listener that takes any address is dialled at the server's own host.
    private static func dialledHost(_ host: String, _ publicHost: String) -> String {
        IPAddress(host)?.isUnspecified == true ? publicHost : host
    }

    private static func privateKey(_ persistence: any CoordinationPersistence) async throws -> NodePrivateKey {
        let bytes = try await persistence.secret(named: keyName) { NodePrivateKey().withBytes { $0.array } }
        guard let key = NodePrivateKey(bytes: bytes) else { throw CoordinationError.damagedRecord(keyName) }
        return key
    }

    /// The certificate of a host: clients check the name they dial even when the certificate is pinned.
    static func certificate(
        for host: String,
        purpose: String = "derp",
        _ persistence: any CoordinationPersistence
    ) async throws -> DERPCertificate {
        let name = "\(purpose)-certificate/\(host)"
        let fresh = [UInt8](try JSONEncoder().encode(try DERPCertificate.make(host: host)))
        let stored = try await persistence.secret(named: name) { fresh }
        do {
            return try JSONDecoder().decode(DERPCertificate.self, from: Data(stored))
        } catch {
            throw CoordinationError.damagedRecord(name)
        }
    }
}
