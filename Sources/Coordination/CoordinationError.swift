/// Why the coordination server refused something to an administrator.
package enum CoordinationError: Error, Equatable, Sendable {
    /// There is no such node.
    case nodeNotFound
    /// Another node has the name, or nobody may have it.
    case nodeNameTaken(String)
    /// The policy is not the one that the change was made for.
    case policyChanged
    /// There is no such auth key.
    case authKeyNotFound
    /// There is no such login, or it has ended.
    case loginNotFound
    /// The address range is used up.
    case addressesExhausted
    /// The server is not running.
    case notRunning
    /// A range in the configuration is no part of what tailnets use.
    case invalidAddressRange(String)
    /// The database holds something unreadable.
    case damagedRecord(String)
}
