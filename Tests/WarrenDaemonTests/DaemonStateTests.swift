import FoundationEssentials
import Glibc
import Testing
import WarrenDaemon
import WarrenModel

@Suite("StateDirectory, DaemonLock, DaemonSettings")
struct DaemonStateTests {
    /// A new directory of a short name, removed at the end.
    private func withDirectory(_ body: (String) throws -> Void) throws {
        var template = Array("/tmp/warren-test.XXXXXX".utf8CString)
        guard let made = mkdtemp(&template) else { throw CocoaError(.fileWriteUnknown) }
        let path = String(cString: made)
        defer { try? FileManager.default.removeItem(atPath: path) }
        try body(path)
    }

    private func mode(_ path: String) -> mode_t {
        var status = stat()
        return stat(path, &status) == 0 ? status.st_mode & 0o777 : 0
    }

    @Test func `a state directory is made private, with what it needs`() throws {
        try withDirectory { path in
            let state = try StateDirectory(creating: path + "/a/b/state")
            #expect(mode(state.path) == 0o700)
            #expect(mode(state.vms) == 0o700)
            #expect(mode(state.images) == 0o700)
        }
    }

    @Test func `one that others may read is closed`() throws {
        try withDirectory { path in
            #expect(chmod(path, 0o755) == 0)
            _ = try StateDirectory(creating: path)
            #expect(mode(path) == 0o700)
        }
    }

    @Test func `a file in its place is refused`() throws {
        try withDirectory { path in
            try Data("x".utf8).write(to: URL(filePath: path + "/file"))
            #expect(throws: DaemonError.self) { try StateDirectory(creating: path + "/file") }
        }
    }

    @Test func `a path whose sockets would have too long names is refused`() {
        let long = "/tmp/" + String(repeating: "x", count: 60)
        do throws(DaemonError) {
            _ = try StateDirectory(creating: long)
            Issue.record("accepted")
        } catch {
            #expect(error.exitCode == .cannotCreate)
            #expect(error.description.contains(long))
        }
    }

    @Test func `a second daemon is told who runs, and the end of the first frees the lock`() throws {
        try withDirectory { path in
            var first: DaemonLock? = try DaemonLock(path: path + "/lock", holder: "pid 42")
            #expect(first != nil)
            do throws(DaemonError) {
                _ = try DaemonLock(path: path + "/lock", holder: "pid 43")
                Issue.record("two daemons")
            } catch {
                #expect(error == .alreadyRunning(lock: path + "/lock", holder: "pid 42"))
                #expect(error.exitCode == .alreadyRunning)
            }
            first = nil
            _ = try DaemonLock(path: path + "/lock", holder: "pid 44")
            #expect(try String(contentsOfFile: path + "/lock", encoding: .utf8) == "pid 44\n")
        }
    }

    @Test(arguments: [
        (true, ["XDG_STATE_HOME": "/x"], "/var/lib/warren", "/run/warren/warrend.sock"),
        (false, ["HOME": "/home/a"], "/home/a/.local/state/warren", "/home/a/.local/state/warren/warrend.sock"),
        (
            false, ["HOME": "/home/a", "XDG_STATE_HOME": "/s", "XDG_RUNTIME_DIR": "/run/user/7"], "/s/warren",
            "/run/user/7/warren/warrend.sock"
        ),
        (
            false, ["HOME": "/home/a", "XDG_STATE_HOME": "relative"], "/home/a/.local/state/warren",
            "/home/a/.local/state/warren/warrend.sock"
        ),
    ])
    func `default places follow the user and the environment`(
        isRoot: Bool,
        environment: [String: String],
        state: String,
        socket: String
    ) throws {
        let settings = try DaemonSettings(
            configuration: DaemonConfiguration(),
            stateDirectory: nil,
            paths: SystemPaths(isRoot: isRoot, environment: environment),
            workingDirectory: "/"
        )
        #expect(settings.stateDirectory == state)
        #expect(settings.unixSocket == socket)
    }

    @Test func `the command line goes before the file, and the file before the default`() throws {
        var configuration = DaemonConfiguration()
        configuration.stateDirectory = "/srv/one"
        configuration.listen.unixSocket = .off
        let paths = SystemPaths(isRoot: true, environment: [:])
        func settings(_ override: String?) throws -> DaemonSettings {
            try DaemonSettings(
                configuration: configuration,
                stateDirectory: override,
                paths: paths,
                workingDirectory: "/home"
            )
        }
        #expect(try settings(nil).stateDirectory == "/srv/one")
        #expect(try settings("two/").stateDirectory == "/home/two")
        #expect(try settings(nil).unixSocket == nil)
    }
}
