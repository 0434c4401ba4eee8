package import ControlPlane
package import Logging
package import NIOCore
package import NetTypes

/// What one node needs to know before it starts.
package struct NodeConfiguration: Sendable {
    /// The control server.
    package var controlURL: String
    /// When a clear-text control server may be used.
    package var plainHTTP: ControlConfiguration.PlainHTTP
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
        plainHTTP: ControlConfiguration.PlainHTTP,
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
