package import Tailcfg
package import WarrenCrypto

/// A registration that waits for a person's approval; kept in memory only.
package struct PendingLogin: Hashable, Sendable {
    /// 128 random bits as hex, the last segment of the login URL.
    package let id: String
    /// Proves that a form came from the page: 128 random bits as hex.
    package let formToken: String
    /// The machine that asks.
    package let machineKey: MachinePublicKey
    /// The key it wants to register.
    package let nodeKey: NodePublicKey
    /// The whole request; the node is created from it.
    package var request: RegisterRequest
    /// From where it came, for display.
    package let remoteAddress: String?
    /// When it began.
    package let created: ControlTime
    /// How it ended, if it did.
    package var outcome: LoginOutcome?

    /// When it ends by itself.
    package var expires: ControlTime { created.adding(seconds: CoordinationDefaults.loginLifetimeSeconds) }
}

/// How a login ended, or why its waiter should look again.
package enum LoginOutcome: Hashable, Sendable {
    /// The node exists.
    case approved
    /// A person refused; the text is what the client shows.
    case rejected(String)
    /// Its time passed.
    case expired
    /// It still waits; the client may ask again.
    case stillPending
}
