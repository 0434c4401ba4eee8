import Foundation
import NIOPosix
import QEMU
import Synchronization
import TestSupport
import Testing
import WarrenModel

@Suite("QMPClient", .timeLimit(.minutes(1)))
struct QMPClientTests {
    private static let greeting = #"{"QMP": {"version": {}, "capabilities": []}}"# + "\r\n"

    /// Runs `body` with a client whose monitor answers what `answer` makes of each command.
    private func withClient(
        answer: @escaping @Sendable (_ command: String, _ id: Int64) -> String,
        _ body: (QMPClient, Mutex<[QMPEvent]>.Reference) async throws -> Void
    ) async throws {
        let folder = try GuestPrerequisites.temporaryFolder()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let peer = try await FakePeer(directory: folder, name: "qmp.sock", greeting: Self.greeting) { line in
            guard let message = try? JSONTree(parsing: line), let id = message["id"]?.integer,
                let command = message["execute"]?.string
            else { return [] }
            if command == "qmp_capabilities" { return Array("{\"return\": {}, \"id\": \(id)}\r\n".utf8) }
            return Array(answer(command, id).utf8)
        }
        let events = Mutex<[QMPEvent]>.Reference()
        let client = try await QMPClient.connect(
            to: try VMDirectory(path: folder),
            group: MultiThreadedEventLoopGroup.singleton
        ) { event in events.value.withLock { $0.append(event) } }
        try await body(client, events)
        await client.close()
        try await peer.close()
    }

    @Test func `matches answers with commands, also out of order and between events`() async throws {
        try await withClient { command, id in
            #"{"event": "RESET", "data": {"guest": true, "reason": "guest-reset"}, "timestamp": {}}"# + "\r\n"
                + "{\"return\": {\"status\": \"late\"}, \"id\": 999}\r\n{\"return\": {\"status\": \"running\"}, \"id\": \(id)}\r\n"
        } _: { client, events in
            let status = try await client.queryStatus()
            #expect(status == .running)
            #expect(events.value.withLock { $0 } == [.reset(byGuest: true, reason: "guest-reset")])
        }
    }

    @Test func `tells why a command was refused`() async throws {
        try await withClient { _, id in
            "{\"error\": {\"class\": \"DeviceNotFound\", \"desc\": \"Device 'nic0' not found\"}, \"id\": \(id)}\n"
        } _: { client, _ in
            await #expect(throws: QEMUError.refused(command: "set_link", description: "Device 'nic0' not found")) {
                try await client.setLink(up: true)
            }
        }
    }

    @Test func `gives up on a command that is not answered`() async throws {
        try await withClient { _, _ in
            ""
        } _: { client, _ in
            await #expect(throws: QEMUError.timedOut(command: "query-status")) {
                try await client.execute("query-status", timeout: .milliseconds(20))
            }
        }
    }

    @Test(arguments: ["garbage\n", "[1,2]\n", "\u{0}\u{1}\n", "endless"])
    func `ends a connection that speaks no sense`(kind: String) async throws {
        let garbage = kind == "endless" ? String(repeating: "x", count: 2 << 20) : kind
        try await withClient { _, _ in
            garbage
        } _: { client, _ in
            await #expect(throws: QEMUError.closed(socket: "run/qmp.sock")) { try await client.queryStatus() }
            await #expect(throws: QEMUError.closed(socket: "run/qmp.sock")) { try await client.queryStatus() }
        }
    }

    @Test func `does not follow a link to another socket`() async throws {
        let folder = try GuestPrerequisites.temporaryFolder(), other = try GuestPrerequisites.temporaryFolder()
        defer { for path in [folder, other] { try? FileManager.default.removeItem(atPath: path) } }
        let peer = try await FakePeer(directory: other, name: "qmp.sock", greeting: Self.greeting) { _ in [] }
        try FileManager.default.createDirectory(atPath: "\(folder)/run", withIntermediateDirectories: true)
        try FileManager.default.createSymbolicLink(
            atPath: "\(folder)/run/qmp.sock",
            withDestinationPath: "\(other)/run/qmp.sock"
        )
        await #expect(throws: QEMUError.notListening(socket: "run/qmp.sock")) {
            _ = try await QMPClient.connect(
                to: try VMDirectory(path: folder),
                group: MultiThreadedEventLoopGroup.singleton
            ) { _ in }
        }
        try await peer.close()
    }

    @Test func `reads events`() throws {
        let table: [(String, QMPEvent)] = [
            (
                #"{"event":"SHUTDOWN","data":{"guest":true,"reason":"guest-panic"}}"#,
                .shutdown(byGuest: true, reason: "guest-panic")
            ),
            (#"{"event":"GUEST_PANICKED","data":{"action":"poweroff"}}"#, .guestPanicked(action: "poweroff")),
            (
                #"{"event":"NETDEV_STREAM_DISCONNECTED","data":{"netdev-id":"net0"}}"#,
                .netdevStreamDisconnected(netdev: "net0")
            ),
            (#"{"event":"STOP"}"#, .stop), (#"{"event":"RESUME"}"#, .resume), (#"{"event":"X"}"#, .other(name: "X")),
        ]
        for (text, event) in table { #expect(QMPEvent(try JSONTree(parsing: text)) == event) }
    }
}

extension Mutex {
    /// A mutex that several closures share.
    final class Reference: Sendable where Value: Sendable & RangeReplaceableCollection {
        let value = Mutex<Value>(Value())
        init() {}
    }
}
