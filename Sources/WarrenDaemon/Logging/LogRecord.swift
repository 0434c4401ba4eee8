import Logging
import WarrenAPI
import WarrenModel

/// One thing that happened, ready to be written.
struct LogRecord {
    /// RFC 3339, UTC, milliseconds.
    let time: String
    /// How much it matters.
    let level: Logger.Level
    /// Which part of the daemon says it.
    let label: String
    /// A constant phrase.
    let message: String
    /// What the phrase is about.
    let facts: Logger.Metadata

    /// The record without a line end.
    func line(_ format: LogFormat) -> String {
        switch format {
        case .text: text
        case .json: json
        }
    }

    private var text: String {
        var line = "\(time) \(level.rawValue.uppercased()) \(label): \(Self.oneLine(message))"
        for key in facts.keys.sorted() {
            let value = facts[key]?.description ?? ""
            let plain = !value.isEmpty && value.unicodeScalars.allSatisfy { $0.value > 0x20 && $0 != "\"" && $0 != "=" }
            line += plain ? " \(key)=\(value)" : " \(key)=\(Self.quoted(value))"
        }
        return line
    }

    private var json: String {
        var members = [
            "\"time\":\(Self.quoted(time))", "\"level\":\(Self.quoted(level.rawValue))",
            "\"logger\":\(Self.quoted(label))", "\"message\":\(Self.quoted(message))",
        ]
        for key in facts.keys.sorted() {
            members.append("\(Self.quoted(key)):\(Self.quoted(facts[key]?.description ?? ""))")
        }
        return "{" + members.joined(separator: ",") + "}"
    }

    private static func oneLine(_ text: String) -> String {
        text.unicodeScalars.contains { $0.value < 0x20 } ? quoted(text) : text
    }

    // JSON's escapes; also right for the text form, where a value must not break out of its line.
    private static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case "\t": result += "\\t"
            case _ where scalar.value < 0x20 || scalar.value == 0x7F:
                let hex = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }

    /// The time as records carry it.
    static func now() -> String { Timestamp.now.description }
}
