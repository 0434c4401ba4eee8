package import NIOSSL
package import Transport
package import WarrenCrypto

/// What one session with a control server needs to know.
package struct ControlConfiguration: Sendable {
    /// When a clear-text control URL may be used; `/key` is the trust anchor and would be unauthenticated.
    package enum PlainHTTP: String, Sendable {
        /// Never.
        case refused
        /// For `localhost` and loopback literals.
        case localOnly
        /// Always.
        case allowed
    }

    /// The ports of HTTP; only tests have others.
    package struct StandardPorts: Hashable, Sendable {
        /// Of clear text.
        package var clearText = 80
        /// Of TLS.
        package var tls = 443

        /// The registered ports.
        package init() {}
    }

    /// The server.
    package var url: ControlURL
    /// When clear text may be used.
    package var plainHTTP: PlainHTTP
    /// The identity of this installation.
    package var machineKey: MachinePrivateKey
    /// The capability version claimed everywhere: `/key?v=`, Noise, and every request.
    package var capabilityVersion: UInt16
    /// How TLS verifies the server; ALPN must not offer `h2`.
    package var tls: TLSConfiguration
    /// What may carry the Noise stream.
    package var transport = StreamTransport.auto
    /// Which connections go through a proxy.
    package var proxies = ProxySettings.none
    /// The ports that are tried beside the one that the URL names.
    package var standardPorts = StandardPorts()
    /// How long dial, upgrade and handshake may take together.
    package var dialDeadline: Duration = ControlConstants.dialDeadline
    /// How long a request other than a follow-up or a map poll may take.
    package var requestDeadline: Duration = ControlDefaults.requestDeadline
    /// How long a map poll may stay without a complete message.
    package var mapWatchdog: Duration = ControlConstants.mapWatchdog
    /// The largest map message after unfolding.
    package var maximumMapByteCount = ControlDefaults.maximumMapByteCount

    /// A configuration with the defaults.
    package init(
        url: ControlURL,
        machineKey: MachinePrivateKey,
        capabilityVersion: UInt16,
        plainHTTP: PlainHTTP = .localOnly,
        tls: TLSConfiguration = .makeClientConfiguration()
    ) {
        self.url = url
        self.machineKey = machineKey
        self.capabilityVersion = capabilityVersion
        self.plainHTTP = plainHTTP
        self.tls = tls
    }
}
