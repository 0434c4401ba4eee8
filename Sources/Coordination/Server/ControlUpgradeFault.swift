import ControlPlane
import NIOHTTP1

/// Why a request to `/ts2021` was not upgraded, in words.
enum ControlUpgradeFault {
    /// The text for a request, or nil when its initiation is in order.
    static func of(_ head: HTTPRequestHead) -> String? {
        switch ControlUpgrade.initiation(in: head) {
        case .success: nil
        case .failure(let refusal): refusal.rawValue
        }
    }
}
