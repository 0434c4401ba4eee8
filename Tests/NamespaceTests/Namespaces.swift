import Foundation
import TestSupport

/// What networks of namespaces need, and whether it is here.
enum NamespacePrerequisites {
    /// The probe as built beside the tests.
    static let probe: String? = {
        let runner = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
        return [runner.path, "\(GuestPrerequisites.packageRoot)/.build/debug"].map { "\($0)/path-probe" }
            .first { FileManager.default.isExecutableFile(atPath: $0) }
    }()

    /// Whether a test as this user can make namespaces; not so without root, and in most containers.
    static let areMet: Bool = {
        guard geteuid() == 0, probe != nil, has("ip"), has("nft") else { return false }
        let name = Network.freshName()
        guard (try? Shell.run(["ip", "netns", "add", name])) != nil else { return false }
        return (try? Shell.run(["ip", "netns", "del", name])) != nil
    }()

    /// Whether a program is installed.
    static func has(_ program: String) -> Bool {
        ["/usr/bin", "/usr/sbin", "/bin", "/sbin"].contains {
            FileManager.default.isExecutableFile(atPath: "\($0)/\(program)")
        }
    }
}

/// Runs programs of the machine to their end.
enum Shell {
    struct Failed: Error {
        var command: [String]
        var output: String
    }

    @discardableResult
    static func run(_ command: [String], input: String? = nil) throws -> String {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = command
        let (output, stdin) = (Pipe(), Pipe())
        process.standardOutput = output
        process.standardError = output
        process.standardInput = stdin
        let ended = DispatchSemaphore(value: 0)
        process.terminationHandler = { _ in ended.signal() }
        try process.run()
        if let input { stdin.fileHandleForWriting.write(Data(input.utf8)) }
        try stdin.fileHandleForWriting.close()
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        ended.wait()
        guard process.terminationStatus == 0 else { throw Failed(command: command, output: text) }
        return text
    }
}

/// Some namespaces with cables between them, gone with their programs when the test ends.
final class Network {
    private var namespaces: [String: String] = [:]
    private var processes: [NamespacedProcess] = []
    /// A folder for the files of the test.
    let folder: String

    static func freshName() -> String { "warren-\(UInt32.random(in: 0 ... .max))" }

    /// Makes one namespace for each name.
    init(_ names: [String]) throws {
        folder = try GuestPrerequisites.temporaryFolder()
        for name in names {
            let namespace = Self.freshName()
            try Shell.run(["ip", "netns", "add", namespace])
            namespaces[name] = namespace
            try run(name, "ip link set lo up")
        }
    }

    /// Ends every program and removes everything.
    func remove() {
        for process in processes { process.stop() }
        // What is gone already need not be removed.
        for namespace in namespaces.values { _ = try? Shell.run(["ip", "netns", "del", namespace]) }
        try? FileManager.default.removeItem(atPath: folder)
    }

    /// Joins two namespaces by a cable.
    func connect(_ first: String, _ firstName: String, _ second: String, _ secondName: String) throws {
        try run(first, "ip link add \(firstName) type veth peer name \(secondName) netns \(namespace(second))")
        try run(first, "ip link set \(firstName) up")
        try run(second, "ip link set \(secondName) up")
    }

    /// Runs commands in a namespace, one a line.
    @discardableResult
    func run(_ name: String, _ commands: String) throws -> String {
        try commands.split(separator: "\n").map { line in
            let words = line.split(separator: " ").map(String.init)
            return try Shell.run(["ip", "netns", "exec", namespace(name)] + words)
        }.joined()
    }

    /// Loads a rule set in a namespace.
    func filter(_ name: String, _ rules: String) throws {
        try Shell.run(["ip", "netns", "exec", namespace(name), "nft", "-f", "-"], input: rules)
    }

    /// Starts a program in a namespace.
    func start(_ name: String, _ command: [String]) throws -> NamespacedProcess {
        let process = try NamespacedProcess(["ip", "netns", "exec", namespace(name)] + command)
        processes.append(process)
        return process
    }

    /// Starts the probe in a namespace.
    func probe(_ name: String, _ arguments: [String]) throws -> NamespacedProcess {
        guard let probe = NamespacePrerequisites.probe else { throw CocoaError(.fileNoSuchFile) }
        return try start(name, [probe] + arguments)
    }

    private func namespace(_ name: String) -> String { namespaces[name] ?? name }
}

/// A program in a namespace, whose lines are read one by one.
final class NamespacedProcess {
    private let process = Process()
    private let input = Pipe()
    private let output = Pipe()
    private let ended = DispatchSemaphore(value: 0)
    private var lines: AsyncStream<String>.Iterator

    struct Ended: Error {}

    init(_ command: [String]) throws {
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = command
        process.standardInput = input
        process.standardOutput = output
        process.standardError = ProcessInfo.processInfo.environment["PROBE_LOG"] == nil ? FileHandle.nullDevice : nil
        let (stream, continuation) = AsyncStream.makeStream(of: String.self, bufferingPolicy: .bufferingOldest(1_000))
        lines = stream.makeAsyncIterator()
        let pending = LineBuffer()
        output.fileHandleForReading.readabilityHandler = { handle in
            let data = handle.availableData
            guard !data.isEmpty else {
                handle.readabilityHandler = nil
                return continuation.finish()
            }
            for line in pending.append(data) { continuation.yield(line) }
        }
        let ended = ended
        process.terminationHandler = { _ in ended.signal() }
        try process.run()
    }

    /// The next line, as JSON.
    func next() async throws -> JSONValue {
        guard let line = await lines.next(isolation: #isolation) else { throw Ended() }
        return try JSONDecoder().decode(JSONValue.self, from: Data(line.utf8))
    }

    /// Gives a command and waits for the answer.
    func ask(_ command: String) async throws -> JSONValue {
        input.fileHandleForWriting.write(Data("\(command)\n".utf8))
        return try await next()
    }

    /// Ends the program.
    func stop() {
        guard process.isRunning else { return }
        process.terminate()
        // A program that does not end by itself within two seconds is made to.
        guard ended.wait(timeout: .now() + 2) == .timedOut else { return }
        kill(process.processIdentifier, SIGKILL)
    }

    // Confined to the handle's queue.
    private final class LineBuffer: @unchecked Sendable {
        private var text = Data()

        func append(_ data: Data) -> [String] {
            text += data
            var lines: [String] = []
            while let end = text.firstIndex(of: 10) {
                lines.append(String(decoding: text[text.startIndex..<end], as: UTF8.self))
                text = Data(text[text.index(after: end)...])
            }
            return lines
        }
    }
}
