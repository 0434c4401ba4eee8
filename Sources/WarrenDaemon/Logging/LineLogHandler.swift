import Glibc
package import Logging
import Synchronization

/// Writes each record as one line to standard error.
package struct LineLogHandler: LogHandler {
    package var logLevel: Logger.Level
    package var metadata: Logger.Metadata = [:]
    package var metadataProvider: Logger.MetadataProvider?
    private let label: String
    private let format: LogFormat

    /// Makes the handler of one label.
    package init(label: String, level: Logger.Level, format: LogFormat) {
        self.label = label
        self.format = format
        logLevel = level
    }

    package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    package func log(event: LogEvent) {
        var facts = metadata
        if let provided = metadataProvider?.get() { facts.merge(provided) { $1 } }
        if let own = event.metadata { facts.merge(own) { $1 } }
        let record = LogRecord(
            time: LogRecord.now(),
            level: event.level,
            label: label,
            message: event.message.description,
            facts: facts
        )
        let line = Array((record.line(format) + "\n").utf8)
        // One write a line: lines of several threads do not mix, and nothing is lost when the process is killed.
        _ = write(STDERR_FILENO, line, line.count)
    }
}
