import Coordination
import Foundation
import Tailcfg
import TestSupport
import Testing
import WarrenCrypto

/// A dialogue between a stock client and another server, event by event.
struct RecordedDialogue: Sendable, CustomStringConvertible {
    let description: String
    let events: [JSONValue]

    static func all() throws -> [RecordedDialogue] {
        let folder = Bundle.module.bundleURL.appendingPathComponent("Vectors/server")
        let files = try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
        return try files.filter { $0.pathExtension == "json" }.sorted { $0.path < $1.path }.map { file in
            let document = try JSONValue(parsing: Data(contentsOf: file))
            return RecordedDialogue(
                description: file.lastPathComponent,
                events: document.events?.array ?? []
            )
        }
    }
}

extension JSONValue {
    fileprivate func decoded<T: Decodable>(as type: T.Type) throws -> T {
        try JSONDecoder().decode(type, from: data)
    }
}

private let dialogues = Result { try RecordedDialogue.all() }

@Suite("Recorded dialogues of stock clients", .timeLimit(.minutes(1)))
struct RecordedDialogueVectorTests {
    @Test func `are there`() throws {
        #expect(try dialogues.get().count >= 18)
    }

    @Test(arguments: try dialogues.get())
    func `every map stream adds up`(_ dialogue: RecordedDialogue) throws {
        var reducers: [Int: NetworkMapReducer] = [:]
        for event in dialogue.events where event.kind?.string == "map message on the stream of request_no" {
            let number = try #require(event.request_no?.int)
            let message = try #require(event.body).decoded(as: MapResponse.self)
            #expect(message.undecodablePeerCount == 0)
            // A recording may begin in the middle of a stream.
            guard reducers[number] != nil || message.node != nil else { continue }
            _ = try reducers[number, default: NetworkMapReducer()].apply(message, now: ManualTime.start)
        }
    }

    /// Sends our server what the client sent; whatever that is, it gets an answer of the same kind with all that it needs.
    @Test(arguments: try dialogues.get())
    func `our server carries the client's side of the dialogue`(_ dialogue: RecordedDialogue) async throws {
        try await withServer(in: StateDirectory()) { server in
            let replay = try await DialogueReplay(dialogue.events, on: server)
            try await replay.run()
            let askedCount = dialogue.events.count { event in
                event.kind?.string == "request" && event.path?.string?.hasPrefix("/machine/") == true
            }
            #expect(replay.answerCount >= askedCount)
        }
    }
}
