import NetTypes
import Synchronization
import WarrenCrypto

/// How many connections one machine and one address may hold; this host itself is not limited.
final class ConnectionLimiter: Sendable {
    private static let maximumPerMachine = 8
    private static let maximumPerAddress = 64

    private let machines = Mutex<[MachinePublicKey: Int]>([:])
    private let addresses = Mutex<[IPAddress: Int]>([:])

    /// Runs `body` unless the machine has too many connections already.
    func withPlace(for machineKey: MachinePublicKey, _ body: () async -> Void) async {
        guard machines.withLock({ Self.enter(&$0, machineKey, limit: Self.maximumPerMachine) }) else { return }
        defer { machines.withLock { Self.leave(&$0, machineKey) } }
        await body()
    }

    /// Runs `body` unless the address has too many connections already.
    func withPlace(for address: IPAddress?, _ body: () async -> Void) async {
        guard let address = address?.limitKey, !address.isLoopback else { return await body() }
        guard addresses.withLock({ Self.enter(&$0, address, limit: Self.maximumPerAddress) }) else { return }
        defer { addresses.withLock { Self.leave(&$0, address) } }
        await body()
    }

    private static func enter<Key: Hashable>(_ counts: inout [Key: Int], _ key: Key, limit: Int) -> Bool {
        let count = counts[key] ?? 0
        guard count < limit else { return false }
        counts[key] = count + 1
        return true
    }

    private static func leave<Key: Hashable>(_ counts: inout [Key: Int], _ key: Key) {
        let count = (counts[key] ?? 1) - 1
        counts[key] = count > 0 ? count : nil
    }
}
