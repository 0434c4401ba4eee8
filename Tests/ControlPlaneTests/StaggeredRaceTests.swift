import Synchronization
import Testing

@testable import ControlPlane

@Suite("StaggeredRace", .timeLimit(.minutes(1))) struct StaggeredRaceTests {
    private func entry(
        after delay: Duration = .zero,
        _ result: Result<Int, ControlError>
    ) -> StaggeredRace.Entry<Int> {
        StaggeredRace.Entry(delay: delay) { result }
    }

    /// An attempt that only its cancellation ends.
    private func endless(after delay: Duration = .zero) -> StaggeredRace.Entry<Int> {
        StaggeredRace.Entry(delay: delay) {
            while !Task.isCancelled { try? await Task.sleep(for: .seconds(60)) }
            return .failure(.connectionClosed)
        }
    }

    private func winner(_ entries: [StaggeredRace.Entry<Int>]) async -> Int? {
        if case .won(let value) = await StaggeredRace.run(entries, discard: { _ in }) { value } else { nil }
    }

    @Test func `starts the next attempt at once when none runs any more`() async {
        let value = await winner([entry(.failure(.unreachable)), entry(after: .seconds(3600), .success(2))])
        #expect(value == 2)
    }

    @Test func `cancels the losers, also those that never started`() async {
        let value = await winner([
            endless(), entry(after: .milliseconds(1), .success(2)), endless(after: .seconds(3600)),
        ])
        #expect(value == 2)
    }

    @Test func `tells the error of each attempt in their order`() async {
        let entries = [entry(after: .milliseconds(5), .failure(.timedOut)), entry(.failure(.tlsFailed))]
        guard case .lost(let errors) = await StaggeredRace.run(entries, discard: { _ in }) else {
            Issue.record("nothing was lost")
            return
        }
        #expect(errors == [.timedOut, .tlsFailed])
    }

    @Test func `gives back what succeeded too late`() async {
        let discarded = Mutex<[Int]>([])
        let slow = StaggeredRace.Entry<Int>(delay: .zero) {
            while !Task.isCancelled { try? await Task.sleep(for: .seconds(60)) }
            return .success(7)
        }
        let outcome = await StaggeredRace.run([slow, entry(.success(1))]) { late in
            discarded.withLock { $0.append(late) }
        }
        guard case .won(1) = outcome else {
            Issue.record("\(outcome)")
            return
        }
        #expect(discarded.withLock { $0 } == [7])
        let timedOut = await StaggeredRace.run(
            within: .milliseconds(1),
            discard: { late in
                discarded.withLock { $0.append(late) }
            },
            slow.run
        )
        #expect(timedOut == .failure(.timedOut))
        #expect(discarded.withLock { $0 } == [7, 7])
    }

    @Test func `ends with its task`() async {
        let race = Task { [self] in await winner([endless(), endless(after: .seconds(3600))]) }
        race.cancel()
        #expect(await race.value == nil)
    }
}
