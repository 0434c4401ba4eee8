package import WarrenModel

/// What a node's owner wishes of it and may change while it runs.
@dynamicMemberLookup
package struct NodePreferences: Hashable, Sendable {
    /// The name the node asks for.
    package var hostname: String
    /// Everything beside the name; its members are members of this value too.
    package var network: NetworkPreferences

    /// Joins the two.
    package init(hostname: String, _ network: NetworkPreferences = NetworkPreferences()) {
        self.hostname = hostname
        self.network = network
    }

    /// A member of `network`.
    package subscript<Value>(dynamicMember member: WritableKeyPath<NetworkPreferences, Value>) -> Value {
        get { network[keyPath: member] }
        set { network[keyPath: member] = newValue }
    }
}
