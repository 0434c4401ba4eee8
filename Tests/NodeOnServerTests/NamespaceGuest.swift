import Foundation
import TestSupport

/// A guest made of namespaces: a kernel's own network stack and Debian's own clients behind a NIC socket like QEMU's.
///
/// Everything it starts and makes ends with it, also when this process is killed.
actor NamespaceGuest {
    /// What a command said.
    struct Answer: Decodable {
        var code: Int
        var output: String
    }

    /// Whether such guests can be made here: by root, with Debian's packages.
    static let isPossible =
        geteuid() == 0
        && ["/dev/net/tun", unshare, python, "/usr/bin/busybox", "/usr/sbin/ip", "/usr/bin/dig"]
            .allSatisfy { FileManager.default.fileExists(atPath: $0) }

    /// Whether Debian's other clients are here too.
    static let hasClients = [dhclient, networkd].allSatisfy { FileManager.default.isExecutableFile(atPath: $0) }

    static let dhclient = "/usr/sbin/dhclient"
    static let networkd = "/lib/systemd/systemd-networkd"
    private static let unshare = "/usr/bin/unshare"
    private static let python = "/usr/bin/python3"

    /// Where the NIC's socket is.
    nonisolated let path: String
    private let process = Process()
    private let input = Pipe()
    private let output = Pipe()
    // Waits for answers, so that no thread of the tasks' pool does.
    private let queue = DispatchQueue(label: "namespace-guest")

    init() async throws {
        path = NSTemporaryDirectory() + "n\(UInt32.random(in: 0 ... .max)).sock"
        process.executableURL = URL(fileURLWithPath: Self.unshare)
        let script = Bundle.module.url(forResource: "namespace-guest", withExtension: "py", subdirectory: "Guests")
        guard let script else { throw CocoaError(.fileNoSuchFile) }
        process.arguments = [
            "--net", "--mount", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc", Self.python, script.path,
            path,
        ]
        process.standardInput = input
        process.standardOutput = output
        try process.run()
        guard try await line() == "ready" else { throw CocoaError(.executableLoad) }
    }

    /// Runs a line of shell in the guest.
    func run(_ command: String, seconds: Int = 15) async throws -> Answer {
        let request = try JSONSerialization.data(withJSONObject: ["command": command, "seconds": seconds])
        try input.fileHandleForWriting.write(contentsOf: request + [10])
        return try JSONDecoder().decode(Answer.self, from: Data(try await line().utf8))
    }

    /// What a line of shell that must succeed says.
    func say(_ command: String, seconds: Int = 15) async throws -> String {
        let answer = try await run(command, seconds: seconds)
        guard answer.code == 0 else { throw Failure(description: "\(command): \(answer.code): \(answer.output)") }
        return answer.output
    }

    /// A command that failed.
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    /// Ends everything.
    func end() async {
        // Closed is what it is to become.
        try? input.fileHandleForWriting.close()
        let process = process
        await withCheckedContinuation { continuation in
            queue.async {
                process.waitUntilExit()
                continuation.resume()
            }
        }
        // The guest made it, if it came so far.
        try? FileManager.default.removeItem(atPath: path)
    }

    private func line() async throws -> String {
        let handle = output.fileHandleForReading
        return try await withCheckedThrowingContinuation { continuation in
            queue.async {
                var line = Data()
                while line.last != 10 {
                    let more = handle.availableData
                    guard !more.isEmpty else { return continuation.resume(throwing: CocoaError(.fileReadUnknown)) }
                    line += more
                }
                continuation.resume(returning: String(decoding: line.dropLast(), as: UTF8.self))
            }
        }
    }
}
