import Coordination
import Foundation
import Logging
import NIOPosix
import NetTypes
import ServiceLifecycle
import Store
import Tailcfg
import UnixSignals
import WarrenModel

/// A coordination server in a process of its own, so that its memory is its own.
final class CoordinationProcess {
    /// The argument that makes this program a server; the state directory and the port follow.
    static let argument = "--coordination-server"

    let url: String
    let authKey: String
    private let process: Process
    private let output: Pipe

    /// Starts a server and waits until it listens.
    init(stateDirectory: String, port: Int) {
        process = Process()
        output = Pipe()
        process.executableURL = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        process.arguments = [Self.argument, stateDirectory, String(port)]
        process.standardOutput = output
        do { try process.run() } catch { preconditionFailure("no server: \(error)") }
        var text = ""
        while !text.hasSuffix("\n") {
            let chunk = output.fileHandleForReading.availableData
            precondition(!chunk.isEmpty, "the server ended")
            text += String(decoding: chunk, as: UTF8.self)
        }
        let words = text.split(whereSeparator: \.isWhitespace).map(String.init)
        (url, authKey) = (words[0], words[1])
    }

    /// The memory that the process holds, in MiB.
    var residentMiB: Double {
        // A process that is gone holds nothing.
        let status = (try? String(contentsOfFile: "/proc/\(process.processIdentifier)/status", encoding: .utf8)) ?? ""
        let line = status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") } ?? ""
        return (line.split(separator: " ").compactMap { Double($0) }.first ?? 0) / 1024
    }

    /// Asks the server to stop and waits for it.
    func stop() {
        process.terminate()
        process.waitUntilExit()
    }

    /// The server's life, in its own process.
    static func serve(_ arguments: [String]) async throws {
        let quiet = Logger(label: "bench") { _ in SwiftLogNoOpLogHandler() }
        let database = try WarrenDatabase(stateDirectory: arguments[0], logger: quiet)
        var configuration = CoordinationConfiguration()
        configuration.listen.port = Int(arguments[1]) ?? 0
        let server = try await CoordinationServer.bind(
            configuration,
            persistence: StorePersistence(database),
            approvalCheck: { _ in false },
            now: { ControlTime(Date()) },
            group: .singleton,
            logger: quiet
        )
        let key = try await server.createAuthKey(CreateAuthKeyRequest(reusable: true)).key ?? ""
        FileHandle.standardOutput.write(Data("\(server.localURL) \(key)\n".utf8))
        let group = ServiceGroup(services: [server], gracefulShutdownSignals: [.sigterm], logger: quiet)
        try await group.run()
    }
}
