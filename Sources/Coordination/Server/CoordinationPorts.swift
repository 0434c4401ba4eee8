import NIOCore
import NIOPosix
import NIOSSL
import WarrenCrypto

extension CoordinationServer {
    /// The listeners of a server: the one that clients know, and with TLS another for the nodes of this host.
    struct Ports: Sendable {
        let listeners: [CoordinationListener]
        /// Where clients connect.
        let address: BoundAddress
        /// Where nodes of this host connect.
        let localURL: String
        /// What the first listener shows.
        let certificate: ServingCertificate?
        /// That certificate, when the server made it.
        let ownCertificate: DERPCertificate?

        /// Binds what the configuration asks for.
        static func bind(
            _ configuration: CoordinationConfiguration,
            persistence: any CoordinationPersistence,
            serverKey: MachinePrivateKey,
            group: any EventLoopGroup
        ) async throws -> Ports {
            var certificate: ServingCertificate?
            var ownCertificate: DERPCertificate?
            switch configuration.tls {
            case nil: break
            case .given(let tls, _): certificate = try ServingCertificate(tls)
            case .own:
                let host = configuration.publicURL.flatMap { CoordinationServer.host(of: $0) }
                let own = try await RelayService.certificate(
                    for: host ?? configuration.listen.host,
                    purpose: "control",
                    persistence
                )
                certificate = try ServingCertificate(own.makeServerConfiguration())
                ownCertificate = own
            }
            let outer = try await CoordinationListener.bind(
                configuration.listen,
                serverKey: serverKey,
                certificate: certificate,
                group: group
            )
            let address = BoundAddress(outer.channel.channel.localAddress)
            guard certificate != nil else {
                return Ports(
                    listeners: [outer],
                    address: address,
                    localURL: "http://\(address.localAuthority)",
                    certificate: nil,
                    ownCertificate: nil
                )
            }
            do {
                // Our own nodes need no certificate to verify, and often could not.
                let local = try await CoordinationListener.bind(
                    .init(host: "127.0.0.1", port: 0),
                    serverKey: serverKey,
                    certificate: nil,
                    group: group
                )
                return Ports(
                    listeners: [outer, local],
                    address: address,
                    localURL: "http://\(BoundAddress(local.channel.channel.localAddress).authority)",
                    certificate: certificate,
                    ownCertificate: ownCertificate
                )
            } catch {
                // The error that matters is the one that stopped us.
                try? await outer.channel.channel.close()
                throw error
            }
        }

        /// Gives the ports back.
        func close() async {
            for listener in listeners {
                // Closed already is as good.
                try? await listener.channel.channel.close()
            }
        }
    }
}
