package import NetTypes

/// Permits loopback for everything, or nothing at all.
package struct LoopbackPolicy: DialPolicy {
    private let permitsLoopback: Bool

    /// A policy for servers of the test itself.
    package init(permitsLoopback: Bool = true) { self.permitsLoopback = permitsLoopback }

    /// Whether an address is on loopback.
    package func permits(_ address: IPAddress, for purpose: DialPurpose) -> Bool {
        permitsLoopback && address.isLoopback
    }
}
