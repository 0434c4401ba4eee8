import Foundation
import Logging
import NetTypes

/// The two ends of the pipe to the test.
enum ProbeConsole {
    /// The test's commands, split at spaces; ends with the pipe.
    static func commands() -> AsyncStream<[String]> {
        let (stream, continuation) = AsyncStream.makeStream(of: [String].self, bufferingPolicy: .bufferingOldest(16))
        // readLine blocks, which no thread of the concurrency pool may.
        Thread.detachNewThread {
            while let line = readLine() { continuation.yield(line.split(separator: " ").map(String.init)) }
            continuation.finish()
        }
        return stream
    }

    /// Answers with one line.
    static func answer(_ value: some Encodable) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        FileHandle.standardOutput.write(try encoder.encode(value) + Data("\n".utf8))
    }

    /// A log on the standard error, whose level the environment chooses.
    static var logger: Logger {
        var logger = Logger(label: "probe") { StreamLogHandler.standardError(label: $0) }
        let level = ProcessInfo.processInfo.environment["PROBE_LOG"].flatMap { Logger.Level(rawValue: $0) }
        logger.logLevel = level ?? .critical
        return logger
    }

    /// Everything may be dialled: the network is the test's.
    struct OpenPolicy: DialPolicy {
        func permits(_ address: IPAddress, for purpose: DialPurpose) -> Bool { true }
    }
}
