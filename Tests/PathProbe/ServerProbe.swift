import Coordination
import Foundation
import NIOCore
import NIOPosix
import Store
import Tailcfg
import WarrenModel

/// The real coordination server with relay and STUN.
enum ServerProbe {
    private struct Started: Encodable {
        var authKey: String
        var url: String
    }

    static func run(host: String, stateDirectory: String) async throws {
        let logger = ProbeConsole.logger
        let database = try WarrenDatabase(stateDirectory: stateDirectory, logger: logger)
        let server = try await CoordinationServer.bind(
            CoordinationConfiguration(
                listen: .init(host: host, port: 8_080),
                derp: .init(host: host, port: 8_443),
                stun: .init(host: host, port: 3_478)
            ),
            persistence: StorePersistence(database),
            approvalCheck: { _ in false },
            now: { ControlTime(Date()) },
            group: MultiThreadedEventLoopGroup.singleton,
            logger: logger
        )
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await server.run() }
            let key = try await server.createAuthKey(CreateAuthKeyRequest(reusable: true)).key
            try ProbeConsole.answer(Started(authKey: key ?? "", url: server.serverURL))
            for await _ in ProbeConsole.commands() {}
            group.cancelAll()
        }
    }
}
