package import Logging

/// `log`: what is logged, and how.
package struct LogSection: ConfigurationSection {
    /// The least level that is written.
    package var level = Logger.Level.info
    /// One line of text, or one JSON object, a record.
    package var format = LogFormat.text

    /// The defaults.
    package init() {}

    package mutating func visit(_ visitor: inout some ConfigurationVisitor) {
        visitor.value("level", &level)
        visitor.value("format", &format)
    }
}

/// How a log record is written.
package enum LogFormat: String, ConfigurationChoice {
    /// For eyes.
    case text
    /// One object a line, for collectors.
    case json
}
