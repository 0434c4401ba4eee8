import Foundation
import NIOPosix
import QEMU
import Synchronization
import TestSupport
import Testing
import WarrenModel

@Suite("GuestAgentClient", .timeLimit(.minutes(1)))
struct GuestAgentClientTests {
    private func withAgent(
        _ respond: @escaping @Sendable (_ command: String, _ request: JSONTree) -> [UInt8],
        _ body: (GuestAgentClient) async throws -> Void
    ) async throws {
        let folder = try GuestPrerequisites.temporaryFolder()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let peer = try await FakePeer(directory: folder, name: "agent.sock") { line in
            guard let request = try? JSONTree(parsing: line), let command = request["execute"]?.string else {
                return []
            }
            return respond(command, request)
        }
        let client = GuestAgentClient(
            directory: try VMDirectory(path: folder),
            group: MultiThreadedEventLoopGroup.singleton
        )
        try await body(client)
        await client.close()
        try await peer.close()
    }

    private static func synced(_ request: JSONTree) -> [UInt8] {
        [0xFF] + Array("{\"return\": \(request["arguments"]?["id"]?.integer ?? 0)}\n".utf8)
    }

    @Test func `finds its place behind what an earlier client left`() async throws {
        try await withAgent { command, request in
            command == "guest-sync-delimited"
                ? Array("left over}\n{\"return\": {}}\n".utf8) + Self.synced(request) : Array("{\"return\": {}}\n".utf8)
        } _: {
            try await $0.ping()
        }
    }

    @Test func `runs a program and bounds nothing it should keep`() async throws {
        try await withAgent { command, request in
            switch command {
            case "guest-sync-delimited": return Self.synced(request)
            case "guest-info": return Array(#"{"return": {"version": "7.2.22"}}"#.utf8) + [10]
            case "guest-exec":
                let arguments = request["arguments"]
                guard arguments?["path"]?.string == "/bin/sh", arguments?["input-data"]?.string == "aGk=",
                    arguments?["arg"]?.array?.suffix(4) == ["--regid", "5", "id", "-u"]
                else { return Array(#"{"error": {"class": "GenericError", "desc": "unexpected"}}"#.utf8) + [10] }
                return Array(#"{"return": {"pid": 7}}"#.utf8) + [10]
            default:
                return Array(
                    #"{"return": {"exited": true, "exitcode": 3, "out-data": "b3V0", "err-truncated": true}}"#.utf8
                ) + [10]
            }
        } _: { client in
            let answer = try await client.exec(
                ExecRequest(command: ["id", "-u"], groupID: 5, standardInput: Array("hi".utf8))
            )
            #expect(answer.exitCode == 3 && answer.stdout == Array("out".utf8) && answer.truncated && !answer.timedOut)
        }
    }

    @Test func `passes on why the guest refused`() async throws {
        try await withAgent { command, request in
            command == "guest-sync-delimited"
                ? Self.synced(request) : Array(#"{"error": {"class": "CommandNotFound", "desc": "no"}}"#.utf8) + [10]
        } _: { client in
            await #expect(throws: QEMUError.refused(command: "guest-ping", description: "no")) {
                try await client.ping()
            }
        }
    }

    @Test func `does not wait for ever for a guest without an agent`() async throws {
        try await withAgent { _, _ in
            []
        } _: { client in
            await #expect(throws: QEMUError.timedOut(command: "guest-sync-delimited")) {
                try await client.waitUntilReady(timeout: .milliseconds(30))
            }
        }
    }

    @Test func `takes a late answer for nobody's, and starts over`() async throws {
        let calls = Mutex<[Int]>.Reference()
        try await withAgent { command, request in
            if command == "guest-sync-delimited" { return Self.synced(request) }
            let first = calls.value.withLock { seen in
                seen.append(1)
                return seen.count == 1
            }
            return first ? [] : Array("{\"return\": {}}\n".utf8)
        } _: { client in
            try await client.waitUntilReady(timeout: .seconds(20))
            await #expect(throws: QEMUError.timedOut(command: "guest-ping")) {
                try await client.ping(timeout: .milliseconds(30))
            }
            try await client.ping()
        }
    }

    /// What a hostile guest may answer, by name so that a report stays readable.
    enum Garbage: String, CaseIterable {
        case words, octets, emptyObject, endlessLine, deepNesting

        var octets: [UInt8] {
            switch self {
            case .words: Array("nonsense\n".utf8)
            case .octets: [0xFE, 0x00, 0x0A]
            case .emptyObject: Array("{}\n".utf8)
            case .endlessLine: [UInt8](repeating: UInt8(ascii: "x"), count: 4 << 20)
            case .deepNesting: [UInt8](repeating: UInt8(ascii: "["), count: 100_000) + [10]
            }
        }
    }

    @Test(arguments: Garbage.allCases)
    func `a hostile guest ends only its own connection`(garbage: Garbage) async throws {
        try await withAgent { command, request in
            command == "guest-sync-delimited" ? Self.synced(request) : garbage.octets
        } _: { client in
            await #expect(throws: QEMUError.closed(socket: "run/agent.sock")) { try await client.ping() }
        }
    }
}
