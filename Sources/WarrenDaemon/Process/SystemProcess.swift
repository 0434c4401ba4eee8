import FoundationEssentials
import Glibc
import WarrenModel

/// What this process is to the system.
enum SystemProcess {
    /// Its number, for people; nothing is decided by it.
    static var identifier: Int32 { getpid() }
}

extension Timestamp {
    /// The time by the system's clock.
    static var now: Timestamp {
        Timestamp(millisecondsSinceEpoch: Int64((Date().timeIntervalSince1970 * 1000).rounded()))
    }
}
