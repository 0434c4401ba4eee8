import FoundationEssentials
import Logging
import Testing

@testable import WarrenDaemon

@Suite("LogRecord")
struct LogRecordTests {
    private let record = LogRecord(
        time: "2026-01-02T03:04:05.006Z",
        level: .notice,
        label: "warren.test",
        message: "it happened",
        facts: ["vm-id": "vm_1", "reason": "two words", "path": "line\nbreak \"quoted\""]
    )

    @Test func `text is one line, with facts that cannot break out of it`() {
        #expect(
            record.line(.text)
                == #"2026-01-02T03:04:05.006Z NOTICE warren.test: it happened path="line\nbreak \"quoted\"" "#
                + #"reason="two words" vm-id=vm_1"#
        )
    }

    @Test func `JSON is one object that any parser reads`() throws {
        struct Line: Decodable {
            let time: String
            let level: String
            let logger: String
            let message: String
            let path: String
        }
        let line = record.line(.json)
        #expect(!line.contains("\n"))
        let decoded = try JSONDecoder().decode(Line.self, from: Data(line.utf8))
        #expect(decoded.time == "2026-01-02T03:04:05.006Z")
        #expect(decoded.level == "notice" && decoded.logger == "warren.test" && decoded.message == "it happened")
        #expect(decoded.path == "line\nbreak \"quoted\"")
    }
}
