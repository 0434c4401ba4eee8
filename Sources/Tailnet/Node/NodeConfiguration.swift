import ControlPlane
package import Logging
package import NIOCore
package import NetTypes
import Tailcfg
import WarrenCrypto

/// What one node needs to know before it starts.
package struct NodeConfiguration: Sendable {
    /// The control server.
    package var controlURL: String
    /// When a clear-text control server may be used: its key would be fetched unauthenticated.
    package enum PlainHTTP: String, Hashable, Sendable, CaseIterable { case never, loopback, always }

    /// When a clear-text control server may be used.
    package var plainHTTP: PlainHTTP
    /// Logs the node in without a person; nil asks for an interactive login.
    package var authKey: String?
    /// The name that the node asks for.
    package var hostname: String
    /// Whether control shall forget the node when it is gone.
    package var isEphemeral: Bool
    /// Whether the guest uses the tailnet's resolver configuration.
    package var acceptsDNS: Bool
    /// Which addresses may be dialled that others chose.
    package var dialPolicy: any DialPolicy
    /// The one loop of the node.
    package var eventLoop: any EventLoop
    package var logger: Logger

    /// Joins the parts.
    package init(
        controlURL: String,
        plainHTTP: PlainHTTP,
        authKey: String?,
        hostname: String,
        isEphemeral: Bool,
        acceptsDNS: Bool,
        dialPolicy: any DialPolicy,
        eventLoop: any EventLoop,
        logger: Logger
    ) {
        self.controlURL = controlURL
        self.plainHTTP = plainHTTP
        self.authKey = authKey
        self.hostname = hostname
        self.isEphemeral = isEphemeral
        self.acceptsDNS = acceptsDNS
        self.dialPolicy = dialPolicy
        self.eventLoop = eventLoop
        self.logger = logger
    }
}

extension NodeConfiguration {
    /// The session with control that this node opens.
    ///
    /// - Throws: `ControlError.invalidURL`.
    func control(machineKey: MachinePrivateKey) throws(ControlError) -> ControlConfiguration {
        let plain: ControlConfiguration.PlainHTTP =
            switch plainHTTP {
            case .never: .refused
            case .loopback: .localOnly
            case .always: .allowed
            }
        return ControlConfiguration(
            url: try ControlURL(controlURL), machineKey: machineKey,
            capabilityVersion: UInt16(CapabilityVersion.current.rawValue), plainHTTP: plain
        )
    }
}
