import ArgumentParser
import FoundationEssentials
import Glibc
import WarrenModel

/// What every command takes: where the daemon is, and how the answer is printed.
struct ConnectionOptions: ParsableArguments {
    @Option(help: ArgumentHelp("The daemon: http://…, https://… or unix:/path.", valueName: "url"))
    var url: String?

    @Option(help: ArgumentHelp("A file that holds the token.", valueName: "file"))
    var tokenFile: String?

    @Flag(help: "Print exactly what the API answered.")
    var json = false

    /// Talks to the daemon, then closes the connection.
    func withDaemon(_ body: (DaemonConnection) async throws -> Void) async throws {
        let environment = Environment()
        let address = try address(environment)
        let connection = DaemonConnection(address: address, token: try token(environment, address))
        do {
            try await body(connection)
        } catch {
            await connection.close()
            throw error
        }
        await connection.close()
    }

    private func address(_ environment: Environment) throws(CommandFailure) -> DaemonAddress {
        if let text = url ?? environment["WARREN_URL"] { return try DaemonAddress(text) }
        let paths = environment.paths
        let socket = paths.unixSocket(stateDirectory: paths.stateDirectory)
        guard access(socket, F_OK) == 0 else {
            throw .notReachable(
                place: socket,
                reason: "no such socket; is warrend running? Name it by --url or WARREN_URL"
            )
        }
        return .unixSocket(socket)
    }

    private func token(_ environment: Environment, _ address: DaemonAddress) throws(CommandFailure) -> String? {
        if let tokenFile {
            guard let token = Self.firstLine(of: tokenFile) else {
                throw .usage("--token-file \(tokenFile): no token can be read from there")
            }
            return token
        }
        if let token = environment["WARREN_TOKEN"] { return token }
        // The admin token of this machine is nobody else's business, and the Unix socket needs none.
        guard case .web = address, address.isLocal else { return nil }
        return Self.firstLine(of: environment.paths.stateDirectory + "/admin.token")
    }

    private static func firstLine(of file: String) -> String? {
        guard let text = try? String(contentsOfFile: file, encoding: .utf8),
            let line = text.split(whereSeparator: \.isWhitespace).first
        else { return nil }
        return String(line)
    }
}

/// The environment of this process.
private struct Environment {
    subscript(name: String) -> String? {
        guard let value = getenv(name), value.pointee != 0 else { return nil }
        return String(cString: value)
    }

    var paths: SystemPaths {
        SystemPaths(
            isRoot: geteuid() == 0,
            environment: ["HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR"].reduce(into: [:]) { $0[$1] = self[$1] }
        )
    }
}
