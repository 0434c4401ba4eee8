import ControlPlane
import Foundation
import NIOPosix
import NetTypes
import Synchronization
import Tailnet
import WarrenModel

/// A real node with a guest that answers.
enum NodeProbe {
    private struct Status: Encodable {
        var state: String
        var path: String?
        var endpoint: String?
        var answers: Int
        var isMet: Bool
    }

    static func run(url: String, authKey: String, name: String) async throws {
        let guest = try await ProbeGuest()
        defer { guest.close() }
        var configuration = TailnetNodeConfiguration(
            controlURL: url,
            preferences: NodePreferences(hostname: name),
            nicSocketPath: guest.path,
            dialPolicy: ProbeConsole.OpenPolicy(),
            logger: ProbeConsole.logger
        )
        configuration.plainHTTP = .allowed
        configuration.authKey = SecretText(authKey)
        let node = TailnetNode(
            configuration: configuration,
            identity: nil,
            eventLoop: MultiThreadedEventLoopGroup.singleton.next()
        ) { _, _ in }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await node.run() }
            for await command in ProbeConsole.commands() {
                try ProbeConsole.answer(try await carryOut(command, node, guest))
            }
            group.cancelAll()
        }
    }

    /// `until PATH SECONDS`: talks until the path of the first peer begins so; `call SECONDS`: until an answer came.
    private static func carryOut(_ command: [String], _ node: TailnetNode, _ guest: ProbeGuest) async throws -> Status {
        let seconds = command.last.flatMap { Int($0) } ?? 10
        let end = ContinuousClock().now + .seconds(seconds)
        let before = guest.answers.load(ordering: .relaxed)
        while true {
            let detail = await node.detail()
            let peer = detail.peers.first
            let answers = guest.answers.load(ordering: .relaxed)
            let isMet =
                switch command.first {
                case "until": peer?.path?.hasPrefix(command[1]) == true
                case "call": answers > before
                default: true
                }
            if isMet || ContinuousClock().now > end {
                return Status(
                    state: detail.status.state.rawValue,
                    path: peer?.path,
                    endpoint: peer?.endpoint,
                    answers: answers,
                    isMet: isMet
                )
            }
            let own = detail.status.addresses.lazy.compactMap { IPv4Address($0) }.first
            let other = peer?.addresses.lazy.compactMap { IPv4Address($0) }.first
            if let own, let other { try await guest.send(1, from: own, to: other) }
            try await Task.sleep(for: .milliseconds(50))
        }
    }
}
