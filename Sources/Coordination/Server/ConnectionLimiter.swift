import Synchronization
import WarrenCrypto

/// How many Noise connections one machine may hold.
final class ConnectionLimiter: Sendable {
    private static let maximumPerMachine = 8

    private let counts = Mutex<[MachinePublicKey: Int]>([:])

    /// Counts a connection in, unless the machine has too many.
    func enter(_ machineKey: MachinePublicKey) -> Bool {
        counts.withLock { counts in
            let count = counts[machineKey] ?? 0
            guard count < Self.maximumPerMachine else { return false }
            counts[machineKey] = count + 1
            return true
        }
    }

    /// Counts a connection out.
    func leave(_ machineKey: MachinePublicKey) {
        counts.withLock { counts in
            let count = (counts[machineKey] ?? 1) - 1
            counts[machineKey] = count > 0 ? count : nil
        }
    }
}
