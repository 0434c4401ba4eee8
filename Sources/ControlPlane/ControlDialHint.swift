import FoundationEssentials
import NetTypes
import Tailcfg

/// What earlier connections taught about how to make the next one.
struct ControlDialHint: Sendable {
    /// Whether clear text is left out: something on the way may have broken the last connection of that kind.
    var skipsClearText = false
    /// Whether the raw upgrade was refused last time and WebSocket was not.
    var prefersWebSocket = false
    /// The addresses that the server recommends in place of DNS.
    var plan = ControlDialPlan()

    /// The candidates of the plan that can be dialled, the most wanted first.
    var candidates: [Candidate] {
        plan.candidates
            .filter { $0.aceHost.isEmpty }
            .sorted { $0.priority > $1.priority }
            .compactMap { candidate in
                IPAddress(candidate.ip).map {
                    Candidate(
                        address: $0,
                        delay: Self.duration(candidate.dialStartDelaySeconds),
                        timeout: Self.duration(candidate.dialTimeoutSeconds)
                    )
                }
            }
            .prefix(ControlDefaults.maximumDialCandidates).map { $0 }
    }

    /// How long the whole dial may take: with a plan, its own time and five seconds for what comes after it.
    func deadline(_ standard: Duration) -> Duration {
        guard let last = candidates.map({ $0.delay + $0.timeout }).max() else { return standard }
        return min(max(.seconds(5), last) + .seconds(5), .seconds(60))
    }

    /// One address of a plan.
    struct Candidate: Hashable, Sendable {
        let address: IPAddress
        let delay: Duration
        let timeout: Duration
    }

    /// Seconds out of a plan; nonsense counts as none, and no plan keeps us for more than a minute.
    private static func duration(_ seconds: Double) -> Duration {
        seconds.isFinite && seconds > 0 ? .seconds(min(seconds, 60)) : .zero
    }
}
