import ControlPlane
import Foundation
import Logging
import LoopbackSupport
import NIOCore
import NIOHTTP1
import NIOPosix
import NetTypes
import Synchronization
import Tailcfg
import Testing
import WarrenCrypto

@Suite("A control session that is disturbed", .timeLimit(.minutes(1))) struct ControlSessionTests {
    private func client(port: Int, change: (inout ControlConfiguration) -> Void = { _ in }) throws -> ControlClient {
        var configuration = ControlConfiguration(
            url: try ControlURL("http://127.0.0.1:\(port)"),
            machineKey: MachinePrivateKey(),
            capabilityVersion: UInt16(CapabilityVersion.current.rawValue)
        )
        change(&configuration)
        return ControlClient(
            configuration: configuration,
            eventLoop: MultiThreadedEventLoopGroup.singleton.next(),
            dialPolicy: LoopbackPolicy(),
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        )
    }

    private let request = MapRequest(
        version: .current,
        nodeKey: NodePrivateKey().publicKey,
        discoKey: DiscoPrivateKey().publicKey,
        hostinfo: nil
    )

    /// The first message of a stream with more members behind the node.
    private func firstMap(_ members: String = "") throws -> ByteBuffer {
        let node = #"{"ID":1,"StableID":"n1","Name":"a.b.","Key":"\#(request.nodeKey.text)"}"#
        return try MapFrameEncoder(compression: .zstd).encode(ByteBuffer(string: #"{"Node":\#(node)\#(members)}"#))
    }

    private func keepAlive() throws -> ByteBuffer {
        try MapFrameEncoder(compression: .zstd).encode(ByteBuffer(string: #"{"KeepAlive":true}"#))
    }

    @Test func `keeps a poll through GOAWAY while new requests take a new connection`() async throws {
        let server = try await LoopbackControlServer(earlyPayload: nil)
        let client = try client(port: server.port)
        let (finishes, finish) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingOldest(1))
        try await withThrowingTaskGroup { group in
            let first = try firstMap()
            let last = try keepAlive()
            group.addTask {
                try await server.run { head, body, outbound in
                    let asked = try JSONDecoder().decode(MapRequest.self, from: Data(body.readableBytesView))
                    guard asked.stream else { return try await LoopbackControlServer.reply(.ok, "", to: outbound) }
                    try await outbound.write(.head(HTTPResponseHead(version: .http1_1, status: .ok)))
                    try await outbound.write(.body(.byteBuffer(first)))
                    for await _ in finishes { break }
                    try await outbound.write(.body(.byteBuffer(last)))
                    try await outbound.write(.end(nil))
                }
            }
            let seen = Mutex<[Bool]>([])
            let request = request
            try await client.mapPoll(request) { response in
                seen.withLock { $0.append(response.keepAlive) }
                guard !response.keepAlive else { return }
                do {
                    try await server.goAway()
                    let before = server.connections.value
                    repeat { try await client.update(request) } while server.connections.value == before
                } catch { Issue.record(error) }
                finish.yield()
            }
            #expect(seen.withLock { $0 } == [false, true])
            await client.close()
            group.cancelAll()
        }
    }

    @Test func `polls again after a reset in the middle of a message`() async throws {
        struct Reset: Error {}
        let server = try await LoopbackControlServer(earlyPayload: nil)
        let client = try client(port: server.port)
        let polls = LoopbackControlServer.Counter()
        try await withThrowingTaskGroup { group in
            let first = try firstMap()
            group.addTask {
                try await server.run { _, _, outbound in
                    polls.increment()
                    try await outbound.write(.head(HTTPResponseHead(version: .http1_1, status: .ok)))
                    try await outbound.write(.body(.byteBuffer(first)))
                    guard polls.value > 1 else {
                        try await outbound.write(.body(.byteBuffer(ByteBuffer(bytes: [100, 0, 0, 0, 1]))))
                        throw Reset()
                    }
                    try await outbound.write(.end(nil))
                }
            }
            await #expect(throws: ControlError.connectionClosed) { try await client.mapPoll(request) { _ in } }
            let count = LoopbackControlServer.Counter()
            try await client.mapPoll(request) { _ in count.increment() }
            #expect(count.value == 1)
            await client.close()
            group.cancelAll()
        }
    }

    @Test func `sleeps when it is asked to, and takes the server's silence meanwhile for none`() async throws {
        let server = try await LoopbackControlServer(earlyPayload: nil)
        let client = try client(port: server.port) { $0.mapWatchdog = .seconds(1) }
        try await withThrowingTaskGroup { group in
            let sleepy = try firstMap(#","Debug":{"SleepSeconds":1.5}"#)
            let next = try keepAlive()
            group.addTask {
                try await server.run { _, _, outbound in
                    try await outbound.write(.head(HTTPResponseHead(version: .http1_1, status: .ok)))
                    try await outbound.write(.body(.byteBuffer(sleepy)))
                    try await Task.sleep(for: .milliseconds(1250))
                    try await outbound.write(.body(.byteBuffer(next)))
                    try await outbound.write(.end(nil))
                }
            }
            let begin = ContinuousClock.now
            let seen = LoopbackControlServer.Counter()
            try await client.mapPoll(request) { _ in seen.increment() }
            #expect(seen.value == 2)
            #expect(ContinuousClock.now - begin >= .milliseconds(1500))
            await client.close()
            group.cancelAll()
        }
    }

    @Test func `refuses a message of 64 MiB and more as soon as it is announced`() async throws {
        let server = try await LoopbackControlServer(earlyPayload: nil)
        let client = try client(port: server.port)
        await withThrowingTaskGroup { group in
            group.addTask {
                try await server.run { _, _, outbound in
                    try await outbound.write(.head(HTTPResponseHead(version: .http1_1, status: .ok)))
                    // 64 MiB and one octet.
                    try await outbound.write(.body(.byteBuffer(ByteBuffer(bytes: [1, 0, 0, 4]))))
                }
            }
            await #expect(throws: ControlError.oversized) { try await client.mapPoll(request) { _ in } }
            await client.close()
            group.cancelAll()
        }
    }

    @Test func `learns the new key of a server that was reinstalled`() async throws {
        let first = try await LoopbackControlServer(earlyPayload: nil)
        let port = first.port
        let client = try client(port: port) { $0.requestDeadline = .milliseconds(500) }
        let registration = RegisterRequest(version: .current, nodeKey: NodePrivateKey().publicKey, hostinfo: nil)
        let respond: LoopbackControlServer.Responder = { _, _, outbound in
            try await LoopbackControlServer.reply(.ok, #"{"MachineAuthorized":true}"#, to: outbound)
        }
        try await withThrowingTaskGroup { group in
            group.addTask { try await first.run(respond) }
            _ = try await client.register(registration)
            group.cancelAll()
        }
        let second = try await LoopbackControlServer(earlyPayload: nil, port: port)
        await withThrowingTaskGroup { group in
            group.addTask { try await second.run(respond) }
            var failures = 0
            while failures < 3 {
                do throws(ControlError) {
                    let isAuthorized = try await client.register(registration).machineAuthorized
                    #expect(isAuthorized)
                    break
                } catch { failures += 1 }
            }
            // The dead connection, and the one that was made with the old key.
            #expect(failures <= 2)
            await client.close()
            group.cancelAll()
        }
    }
}
