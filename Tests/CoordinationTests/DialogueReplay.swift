import ControlPlane
import Coordination
import Foundation
import NIOCore
import NIOHTTP1
import NIOPosix
import NetTypes
import Synchronization
import Tailcfg
import TestSupport
import Testing
import WarrenCrypto
import WarrenModel

/// Plays the client's side of a recorded dialogue against a running server, over real connections and octet by octet as it was sent.
///
/// Only what a server gave out is replaced: auth keys, login URLs, and the numbers of questions.
final class DialogueReplay {
    private struct Loopback: DialPolicy {
        func permits(_ address: IPAddress, for purpose: DialPurpose) -> Bool { address.isLoopback }
    }

    /// A poll that is open.
    private struct Poll {
        let messages: PollMessages
        let task: Task<Void, any Error>
    }

    private let events: [JSONValue]
    private let server: CoordinationServer
    private let authKey: String
    private let deadline = Duration.seconds(20)
    private var machines: [String: MachinePrivateKey] = [:]
    private var connections: [Int: ControlConnection] = [:]
    private var polls: [Int: Poll] = [:]
    private var loginURLs: [String: String] = [:]
    private var questions: [String: (path: String, answer: Task<ByteBuffer, any Error>)] = [:]
    private var latestMachine = MachinePrivateKey()
    /// How many requests were answered.
    private(set) var answerCount = 0

    init(_ events: [JSONValue], on server: CoordinationServer) async throws {
        self.events = events
        self.server = server
        authKey = try await server.createAuthKey(CreateAuthKeyRequest(reusable: true)).key ?? ""
    }

    /// Plays everything, and lets go of everything whatever happens.
    func run() async throws {
        do {
            for event in events { try await play(event) }
            for poll in polls.values { try poll.messages.check() }
        } catch {
            await close()
            throw error
        }
        await close()
    }

    private func close() async {
        for poll in polls.values { poll.task.cancel() }
        for question in questions.values { question.answer.cancel() }
        for connection in connections.values { await connection.close() }
    }

    private func play(_ event: JSONValue) async throws {
        switch event.kind?.string {
        case "outer http exchange": try await playOuter(event)
        case "request": try await playRequest(event)
        case "noise connection closed by client":
            if let number = event.noise_connection?.int { await connections.removeValue(forKey: number)?.close() }
        case "map message on the stream of request_no":
            if let question = event.body?.PingRequest, let number = event.request_no?.int {
                try await ask(question, overPollOf: number)
            }
        default: break
        }
    }

    private func playOuter(_ event: JSONValue) async throws {
        guard let path = event.path?.string, path.hasPrefix("/key") else { return }
        let answer = try await get(server, path)
        #expect(answer.hasPrefix("HTTP/1.1 200") && answer.contains("mkey:"))
        answerCount += 1
    }

    // MARK: - Requests inside Noise

    private func playRequest(_ event: JSONValue) async throws {
        let path = try #require(event.path?.string)
        let method = HTTPMethod(rawValue: event.method?.string ?? "POST")
        let body = event.body
        let connection = try await connection(event, identifiedBy: body?.Hostinfo?.BackendLogID?.string)
        switch path {
        case "/machine/register":
            try await register(try #require(body), event, over: connection)
        case "/machine/map":
            try await map(try #require(body), event, over: connection)
        case _ where path.hasPrefix("/c2n/"):
            guard let question = questions.removeValue(forKey: path) else { return }
            let text = ByteBuffer(string: event.body_text?.string ?? "")
            let reply = try await send(method, question.path, text, over: connection)
            #expect(reply.head.status == .noContent)
            #expect(try await question.answer.value == text)
        default:
            let text = try body.map { ByteBuffer(bytes: try $0.data) } ?? ByteBuffer()
            let reply = try await send(method, path, text, over: connection)
            // Whatever it is, it has an answer, and a status that leaves the client content.
            #expect([200, 204, 404, 501].contains(reply.head.status.code), "\(path)")
        }
        answerCount += 1
    }

    private func register(_ recorded: JSONValue, _ event: JSONValue, over connection: ControlConnection) async throws {
        var members = try #require(recorded.object)
        let expected = recordedAnswer(to: event)
        if let old = recorded.OldNodeKey?.string, let key = NodePublicKey(text: old), !key.isZero {
            try await admit(key, over: connection)
        }
        if var auth = recorded.Auth?.object, auth["AuthKey"] != nil {
            let isRefused = expected?["Error"]?.string?.isEmpty == false
            auth["AuthKey"] = .string(isRefused ? "warrenkey-0123456789-0123456789abcdef0123456789abcdef" : authKey)
            members["Auth"] = .object(auth)
        } else if recorded.Followup?.string?.isEmpty ?? true, expected?.AuthURL?.string?.isEmpty ?? true,
            let text = recorded.NodeKey?.string, let key = NodePublicKey(text: text)
        {
            // Who comes back or logs out was in.
            try await admit(key, over: connection)
        }
        if let followup = recorded.Followup?.string, !followup.isEmpty {
            let url = try #require(loginURLs[followup] ?? loginURLs.values.first)
            members["Followup"] = .string(url)
            let id = String(url.split(separator: "/").last ?? "")
            let pending = Task { [server] in
                // The person takes a moment longer than the client.
                while await server.registry.openLogin(id) == nil { try await Task.sleep(for: .milliseconds(5)) }
                try await server.approveLogin(id)
            }
            defer { pending.cancel() }
            return try await checkRegister(members, expected, over: connection)
        }
        try await checkRegister(members, expected, over: connection)
    }

    private func checkRegister(
        _ members: [String: JSONValue],
        _ expected: JSONValue?,
        over connection: ControlConnection
    ) async throws {
        let body = ByteBuffer(bytes: try JSONValue.object(members).data)
        let reply = try await send(.POST, "/machine/register", body, over: connection)
        #expect(reply.head.status == .ok)
        let answer = try JSONValue(parsing: Data(reply.body.readableBytesView))
        let text = String(buffer: reply.body)
        for member in ["User", "Login", "NodeKeyExpired", "MachineAuthorized", "AuthURL", "Error"] {
            #expect(answer[member] != nil, "\(member) is missing in \(text)")
        }
        let url = answer.AuthURL?.string ?? ""
        let isExpired = answer.NodeKeyExpired?.bool == true
        if answer.Error?.string?.isEmpty == true, url.isEmpty, !isExpired {
            #expect(answer.MachineAuthorized?.bool == true, "\(text)")
            #expect((answer.User?.ID?.int ?? 0) > 0 && (answer.Login?.ID?.int ?? 0) > 0, "\(text)")
            #expect(answer.Login?.LoginName?.string?.isEmpty == false, "\(text)")
        }
        let expiry = members["Expiry"]?.string.flatMap { ControlTime($0) } ?? .zero
        if !expiry.isZero, expiry.seconds < ManualTime.start.seconds {
            // A logout, to which servers say different things, and clients listen to none.
            #expect(isExpired, "\(text)")
            return
        }
        guard let expected else { return }
        let recordedURL = expected.AuthURL?.string ?? ""
        if !recordedURL.isEmpty { loginURLs[recordedURL] = url }
        #expect(url.isEmpty == recordedURL.isEmpty, "\(text)")
        #expect(isExpired == (expected.NodeKeyExpired?.bool == true), "\(text)")
        #expect((answer.Error?.string ?? "").isEmpty == (expected.Error?.string ?? "").isEmpty, "\(text)")
    }

    /// What the recorded server said to a request, when that is in the recording.
    private func recordedAnswer(to request: JSONValue) -> JSONValue? {
        events.first { event in
            event.kind?.string == "response" && event.request_no == request.request_no
                && event.noise_connection == request.noise_connection
        }?.body
    }

    private func map(_ body: JSONValue, _ event: JSONValue, over connection: ControlConnection) async throws {
        let key = try #require(body.NodeKey?.string.flatMap { NodePublicKey(text: $0) })
        try await admit(key, over: connection)
        let request = ControlRequest(.POST, "/machine/map", body: ByteBuffer(bytes: try body.data))
        guard body.Stream?.bool == true else {
            let reply = try await connection.perform(request, deadline: deadline)
            #expect(reply.head.status == .ok && reply.body.readableBytes == 0)
            return
        }
        let stream = try await connection.openMap(request, maximumByteCount: 16 << 20, watchdog: deadline)
        let messages = PollMessages(nodeKey: key)
        let compression = try #require(MapCompression(rawValue: body.Compress?.string ?? ""))
        let task = Task {
            defer { messages.end() }
            try await stream.executeThenClose { inbound, _ in
                for try await message in inbound {
                    let json = try MapFrameDecoder.unfold(message, compression: compression)
                    messages.append(try JSONValue(parsing: Data(json.readableBytesView)))
                }
            }
        }
        polls[event.request_no?.int ?? -1] = Poll(messages: messages, task: task)
        try await messages.waitForFirst()
    }

    /// Makes known a node that the recording takes for granted.
    private func admit(_ key: NodePublicKey, over connection: ControlConnection) async throws {
        guard await !server.registry.nodes().contains(where: { $0.node.nodeKey == key }) else { return }
        var hostinfo = Hostinfo()
        hostinfo.hostname = "earlier"
        var request = RegisterRequest(version: .current, nodeKey: key, hostinfo: hostinfo)
        request.authKey = authKey
        let body = ByteBuffer(bytes: try JSONEncoder().encode(request))
        let reply = try await send(.POST, "/machine/register", body, over: connection)
        #expect(reply.head.status == .ok)
    }

    // MARK: - Questions

    private func ask(_ recorded: JSONValue, overPollOf number: Int) async throws {
        guard let path = recorded.URL?.string.flatMap({ ControlPing.path(of: $0) }),
            let request = events.first(where: { $0.path?.string == path && $0.kind?.string == "request" })
        else { return }
        let connection = try await connection(request, identifiedBy: nil)
        if polls[number] == nil {
            // The recording begins in the middle of the poll.
            let key = NodePrivateKey().publicKey
            var poll = MapRequest(
                version: .current,
                nodeKey: key,
                discoKey: DiscoPrivateKey().publicKey,
                hostinfo: Hostinfo()
            )
            poll.stream = true
            poll.compress = "zstd"
            let body = try JSONValue(parsing: JSONEncoder().encode(poll))
            try await map(body, .object(["request_no": .integer(Int64(number))]), over: connection)
        }
        guard let messages = polls[number]?.messages,
            let id = await server.registry.nodes().first(where: { $0.node.nodeKey == messages.nodeKey })?.node.id
        else { return }
        let payload = recorded.Payload?.string.flatMap { Data(base64Encoded: $0) } ?? Data()
        let question: NodeQuestion
        switch recorded.Types?.string ?? "" {
        case "c2n": question = .request(String(decoding: payload, as: UTF8.self))
        case let type:
            guard let address = recorded.IP?.string.flatMap({ IPAddress($0) }), let probe = NodeProbe(rawValue: type)
            else { return }
            question = .probe(probe, address)
        }
        let answer = Task { [server] in try await server.registry.ask(question, of: id) }
        let asked = try await messages.nextQuestion()
        #expect(asked.Types?.string == recorded.Types?.string && asked.Payload == recorded.Payload)
        #expect(asked.URLIsNoise?.bool == true)
        questions[path] = (try #require(asked.URL?.string.flatMap { ControlPing.path(of: $0) }), answer)
    }

    // MARK: - Connections

    /// The connection that an event names, of the machine whose log id it shows; the recording does not show machine keys.
    private func connection(_ event: JSONValue, identifiedBy logID: String?) async throws -> ControlConnection {
        let number = event.noise_connection?.int ?? 0
        if let logID {
            let machine = machines[logID] ?? MachinePrivateKey()
            machines[logID] = machine
            latestMachine = machine
        }
        if let known = connections[number], known.isUsable { return known }
        let transport = ControlTransport(
            configuration: ControlConfiguration(
                url: try ControlURL(server.localURL),
                machineKey: latestMachine,
                capabilityVersion: 133
            ),
            eventLoop: MultiThreadedEventLoopGroup.singleton.next(),
            policy: Loopback()
        )
        let connection = try await transport.connect(serverKey: try await transport.fetchServerKey())
        connections[number] = connection
        return connection
    }

    private func send(
        _ method: HTTPMethod,
        _ path: String,
        _ body: ByteBuffer,
        over connection: ControlConnection
    ) async throws -> ControlReply {
        try await connection.perform(ControlRequest(method, path, body: body), deadline: deadline)
    }
}
