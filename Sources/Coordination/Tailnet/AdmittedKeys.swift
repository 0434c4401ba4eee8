import Synchronization
package import WarrenCrypto

/// The node keys that may use the relay; written by the registry, read by every relay connection without waiting.
package final class AdmittedKeys: Sendable {
    private let keys = Mutex<Set<NodePublicKey>>([])

    init() {}

    /// Whether a key belongs to a node that is known and not expired.
    package func contains(_ key: NodePublicKey) -> Bool { keys.withLock { $0.contains(key) } }

    func insert(_ key: NodePublicKey) { keys.withLock { _ = $0.insert(key) } }

    func remove(_ key: NodePublicKey) { keys.withLock { _ = $0.remove(key) } }
}
