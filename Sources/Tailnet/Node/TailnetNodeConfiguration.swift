package import ControlPlane
package import Logging
package import NIOSSL
package import NetTypes
import Tailcfg
package import Transport
import WarrenCrypto
package import WarrenModel

/// What a node is made from, beside its identity.
package struct TailnetNodeConfiguration: Sendable {
    /// The control server, `http(s)://host[:port]`.
    package var controlURL: String
    /// When a clear-text control URL may be used.
    package var plainHTTP: ControlConfiguration.PlainHTTP = .localOnly
    /// The auth key that is still unused; nil asks for an interactive login.
    package var authKey: SecretText?
    /// What the owner wishes at the start; the node may be told otherwise while it runs.
    package var preferences: NodePreferences
    /// Whether control is to forget the node when it is gone.
    package var isEphemeral = false
    /// Whom the guest's resolver may ask about names outside the tailnet.
    package var dnsForwarding = DNSForwardingRule.tailnet
    /// Whom resolvers over HTTPS have to be vouched for by.
    package var resolverTLS = TLSConfiguration.makeClientConfiguration()
    /// QEMU's Unix socket for the guest's NIC.
    package var nicSocketPath: String
    /// The one address that UDP is bound to; nil for all.
    package var udpBindAddress: IPAddress?
    /// The UDP port; 0 lets the kernel choose.
    package var udpPort: UInt16 = 0
    /// Whether `udpPort` is any because the ones that were configured are taken: worth a warning to its user.
    package var lacksConfiguredPort = false
    /// Whether UDP is used at all; without it everything goes by relay.
    package var usesUDP = true
    /// Which addresses may be dialled that others chose.
    package var dialPolicy: any DialPolicy
    /// Which connections to control and relays go through a proxy.
    package var proxies = ProxySettings.none
    /// Where to log.
    package var logger: Logger

    /// The defaults with what has none.
    package init(
        controlURL: String,
        preferences: NodePreferences,
        nicSocketPath: String,
        dialPolicy: any DialPolicy,
        logger: Logger
    ) {
        self.controlURL = controlURL
        self.preferences = preferences
        self.nicSocketPath = nicSocketPath
        self.dialPolicy = dialPolicy
        self.logger = logger
    }
}

extension TailnetNodeConfiguration {
    /// What carries control and relay connections.
    var transport: StreamTransport {
        switch preferences.transport {
        case .auto: .auto
        case .websocket: .webSocket
        }
    }

    /// Whether the node sends UDP at all: not beside WebSocket, which is for networks that let nothing else through.
    var sendsUDP: Bool { usesUDP && preferences.transport != .websocket }

    /// How this node speaks to its control server.
    func control(_ url: ControlURL, machineKey: MachinePrivateKey) -> ControlConfiguration {
        var control = ControlConfiguration(
            url: url,
            machineKey: machineKey,
            capabilityVersion: UInt16(CapabilityVersion.current.rawValue),
            plainHTTP: plainHTTP
        )
        control.transport = transport
        control.proxies = proxies
        return control
    }
}

/// A tailnet whose control server is on loopback is on one machine, and its relays and peers are on loopback too.
struct OneMachinePolicy: DialPolicy {
    let base: any DialPolicy

    func permits(_ address: IPAddress, for purpose: DialPurpose) -> Bool {
        switch purpose {
        case .control, .derp, .stun, .disco: address.isLoopback || base.permits(address, for: purpose)
        case .webhook, .image, .resolver: base.permits(address, for: purpose)
        }
    }
}
