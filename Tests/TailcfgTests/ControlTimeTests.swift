import FoundationEssentials
import Tailcfg
import Testing

@Suite("ControlTime (RFC 3339)")
struct ControlTimeTests {
    @Test(arguments: [
        ("0001-01-01T00:00:00Z", Int64(-62_135_596_800), Int32(0)), ("1970-01-01T00:02:03Z", 123, 0),
        ("2026-07-21T10:00:00.123456789Z", 1_784_628_000, 123_456_789),
        ("2000-02-29T23:59:59.5Z", 951_868_799, 500_000_000),
        ("1969-12-31T23:59:59Z", -1, 0), ("9999-12-31T23:59:59Z", 253_402_300_799, 0),
    ])
    func `reads and writes`(_ text: String, _ seconds: Int64, _ nanoseconds: Int32) throws {
        let value = try #require(ControlTime(text))
        #expect(value == ControlTime(seconds: seconds, nanoseconds: nanoseconds))
        #expect(value.description == text)
    }

    @Test func `understands offsets`() {
        #expect(ControlTime("2026-01-02T03:04:05+02:30")?.description == "2026-01-02T00:34:05Z")
        #expect(ControlTime("2026-01-02T23:04:05-01:00")?.description == "2026-01-03T00:04:05Z")
    }

    @Test(arguments: [
        "", "2026-01-02", "2026-01-02T03:04:05", "2026-13-02T03:04:05Z", "2026-02-29T03:04:05Z", "2026-01-02T24:04:05Z",
        "2026-01-02T03:04:05.Z", "2026-01-02T03:04:05+0230", "2026-01-02 03:04:05Z", "2026-01-02T03:04:05ZZ",
    ])
    func `refuses what is no time`(_ text: String) {
        #expect(ControlTime(text) == nil)
    }

    @Test func `agrees with Foundation`() {
        let date = Date(timeIntervalSince1970: 1_234_567_890.25)
        #expect(ControlTime(date).description == "2009-02-13T23:31:30.25Z")
        #expect(ControlTime(date).date == date)
    }
}
