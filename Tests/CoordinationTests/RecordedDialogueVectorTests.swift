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

    /// Gives our server what the client sent; whatever it asks, it must get an answer that a stock client understands.
    @Test(arguments: try dialogues.get())
    func `our server carries the client's side of the dialogue`(_ dialogue: RecordedDialogue) async throws {
        let tailnet = try await TestTailnet()
        let key = try await tailnet.authKey(reusable: true)
        var machines: [String: MachinePublicKey] = [:]
        for event in dialogue.events where event.kind?.string == "request" {
            guard let body = event.body else { continue }
            // The client's log id stands for its machine, whose key the recording does not show.
            let client = body.Hostinfo?.BackendLogID?.string ?? ""
            let machineKey = machines[client] ?? MachinePrivateKey().publicKey
            machines[client] = machineKey
            switch event.path?.string {
            case "/machine/register":
                var request = try body.decoded(as: RegisterRequest.self)
                if request.authKey != nil { request.authKey = key }
                try await check(try await answer(request, machineKey, tailnet))
            case "/machine/map":
                let request = try body.decoded(as: MapRequest.self)
                try await admit(request, machineKey, tailnet, key)
                if request.stream {
                    let stream = try await tailnet.registry.openStream(request, from: machineKey) {}
                    #expect(try await tailnet.messages(stream).first?.node?.key == request.nodeKey)
                } else {
                    try await tailnet.registry.update(request, from: machineKey)
                }
            default: break
            }
            tailnet.time.advance(seconds: 1)
            _ = await tailnet.registry.tick()
        }
        for node in await tailnet.registry.nodes() { #expect(node.node.isVisible || !node.isOnline) }
    }

    /// Registers; a login that is waited for is approved.
    private func answer(
        _ request: RegisterRequest,
        _ machineKey: MachinePublicKey,
        _ tailnet: TestTailnet
    ) async throws -> RegisterResponse {
        var request = request
        if !request.followup.isEmpty, let login = await tailnet.registry.openLogins().last {
            request.followup = await tailnet.registry.loginURL(login.id)
        }
        for _ in 0..<3 {
            switch try await tailnet.registry.register(request, from: machineKey, remoteAddress: nil) {
            case .respond(let response): return response
            case .tooMany: tailnet.time.advance(seconds: 60)
            case .wait(let waiter): try await tailnet.registry.approveLogin(waiter.loginID)
            }
        }
        throw UnexpectedAnswer()
    }

    /// Makes known a node that the recording takes for granted.
    private func admit(
        _ request: MapRequest,
        _ machineKey: MachinePublicKey,
        _ tailnet: TestTailnet,
        _ key: String
    ) async throws {
        var registration = RegisterRequest(
            version: request.version,
            nodeKey: request.nodeKey,
            hostinfo: request.hostinfo
        )
        if (try? await tailnet.registry.fetch(request, from: machineKey)) == nil {
            registration.authKey = key
            _ = try await answer(registration, machineKey, tailnet)
        }
    }

    /// An answer of zeros would mean "logged in" to a stock client.
    private func check(_ response: RegisterResponse) async throws {
        if !response.error.isEmpty || !response.authURL.isEmpty { return }
        #expect(response.user.id != 0 && response.login.id != 0 && !response.login.loginName.isEmpty)
        #expect(response.machineAuthorized != response.nodeKeyExpired)
    }
}
