import FoundationEssentials
package import WarrenModel

extension Timestamp {
    /// The time by the system's clock.
    package static var now: Timestamp {
        Timestamp(millisecondsSinceEpoch: Int64((Date().timeIntervalSince1970 * 1000).rounded()))
    }
}
