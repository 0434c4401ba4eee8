import Glibc
import NetTypes

/// Tells where the HTTP API listens: the only way to find a port that the system chose.
struct HTTPAddressFile: Sendable {
    /// Where the file is.
    let path: String

    /// Writes the address.
    /// - Throws: `DaemonError.stateUnusable`.
    func write(_ address: AddressPort) throws(DaemonError) {
        try PrivateFile.write("\(address)\n", to: path)
    }

    /// Removes what an earlier run left.
    func remove() {
        unlink(path)
    }
}
