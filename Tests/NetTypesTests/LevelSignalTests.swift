import NetTypes
import Testing

@Suite("LevelSignal", .timeLimit(.minutes(1))) struct LevelSignalTests {
    @Test func `wakes exactly those whose level was passed`() async {
        let signal = LevelSignal(level: 5)
        async let first = signal.wait(above: 5)
        async let second = signal.wait(above: 6)
        signal.raise(to: 3)
        #expect(signal.level == 5)
        signal.raise()
        #expect(await first >= 6)
        signal.raise(to: 9)
        #expect(await second == 9)
        #expect(await signal.wait(above: 8) == 9)
    }

    @Test func `no raise is lost among many tasks`() async {
        let signal = LevelSignal(level: 0)
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<200 {
                group.addTask { signal.raise() }
                group.addTask { _ = await signal.wait(above: 50) }
            }
        }
        #expect(signal.level == 200)
    }

    @Test func `a cancelled wait returns`() async {
        let signal = LevelSignal(level: 0)
        for _ in 0..<100 {
            let task = Task { await signal.wait(above: 10) }
            task.cancel()
            #expect(await task.value == 0)
        }
    }
}
