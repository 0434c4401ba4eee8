import Synchronization

/// Lets a few guests start at once, the others in the order in which they asked.
///
/// A start is work for one processor: more at once than there are would not be sooner, and would starve everything else.
final class StartQueue: Sendable {
    private struct State {
        var free: Int
        var nextTicket: UInt64 = 0
        var waiting: [(ticket: UInt64, turn: CheckedContinuation<Bool, Never>)] = []
        var withdrawn: Set<UInt64> = []
    }

    private let state: Mutex<State>

    /// A queue that lets `places` start at once.
    init(places: Int) { state = Mutex(State(free: max(1, places))) }

    /// Waits for a place, which `leave` gives back.
    ///
    /// - Throws: `CancellationError` when the task is cancelled; there is no place to give back then.
    func enter() async throws {
        let ticket = state.withLock { state in
            state.nextTicket += 1
            return state.nextTicket
        }
        let isIn = await withTaskCancellationHandler {
            await withCheckedContinuation { turn in
                let answer: Bool? = state.withLock { state in
                    if state.withdrawn.remove(ticket) != nil { return false }
                    guard state.free == 0 else {
                        state.free -= 1
                        return true
                    }
                    state.waiting.append((ticket, turn))
                    return nil
                }
                if let answer { turn.resume(returning: answer) }
            }
        } onCancel: {
            let turn = state.withLock { state -> CheckedContinuation<Bool, Never>? in
                guard let index = state.waiting.firstIndex(where: { $0.ticket == ticket }) else {
                    state.withdrawn.insert(ticket)
                    return nil
                }
                return state.waiting.remove(at: index).turn
            }
            turn?.resume(returning: false)
        }
        state.withLock { _ = $0.withdrawn.remove(ticket) }
        guard isIn else { throw CancellationError() }
    }

    /// Gives the place to the next in line.
    func leave() {
        let turn = state.withLock { state -> CheckedContinuation<Bool, Never>? in
            guard !state.waiting.isEmpty else {
                state.free += 1
                return nil
            }
            return state.waiting.removeFirst().turn
        }
        turn?.resume(returning: true)
    }
}
