import Testing

@testable import VirtualMachines

@Suite("StartQueue", .timeLimit(.minutes(1)))
struct StartQueueTests {
    @Test func `places are given in the order asked, and never more than there are`() async throws {
        let queue = StartQueue(places: 2)
        try await queue.enter()
        try await queue.enter()
        let third = Task { try await queue.enter() }
        queue.leave()
        try await third.value
        queue.leave()
        queue.leave()
        try await queue.enter()
        try await queue.enter()
    }

    @Test func `who gives up holds no place`() async throws {
        let queue = StartQueue(places: 1)
        try await queue.enter()
        let quitter = Task { try await queue.enter() }
        quitter.cancel()
        await #expect(throws: CancellationError.self) { try await quitter.value }
        let patient = Task { try await queue.enter() }
        queue.leave()
        try await patient.value
    }
}
