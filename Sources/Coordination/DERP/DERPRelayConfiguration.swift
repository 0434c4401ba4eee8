package import WarrenCrypto

/// Where a relay listens, who it is, and its limits.
package struct DERPRelayConfiguration: Sendable {
    /// The address to listen at, a name or a literal.
    package var host: String
    /// The TCP port; 0 takes any.
    package var port: Int
    /// The relay's identity towards its clients.
    package var privateKey: NodePrivateKey
    /// The certificate and its key.
    package var certificate: DERPCertificate
    /// The addresses of the host's names, for clients whose resolver is broken.
    package var names: [String: [String]] = [:]
    /// How long a connection may take from its first octet to its login.
    package var loginDeadline: Duration = .seconds(10)
    /// How long a client may refuse to take what is sent to it.
    package var writeDeadline: Duration = .seconds(2)
    /// How often a client hears something; up to five seconds are added at random.
    package var keepAlive: Duration = .seconds(60)
    /// How many connections one key may have.
    package var maximumConnectionsPerKey = 4
    /// How many connections one address may have.
    package var maximumConnectionsPerAddress = 256
    /// How many connections there may be at all.
    package var maximumConnections = 16_384

    /// A configuration with the limits of a public relay.
    package init(host: String, port: Int, privateKey: NodePrivateKey, certificate: DERPCertificate) {
        self.host = host
        self.port = port
        self.privateKey = privateKey
        self.certificate = certificate
    }
}
