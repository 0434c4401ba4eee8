import Testing
import WarrenModel

@Suite("JSONTree (RFC 8259)") struct JSONTreeTests {
    @Test func `reads every kind of value`() throws {
        let tree = try JSONTree(
            parsing: #" {"a": [1, -2.5, 1e3, true, false, null], "b": {"c": "x\ny\u00e9\ud83d\ude00\/"}} "#
        )
        #expect(tree["a"] == [1, .number(-2.5), 1000, true, false, .null])
        #expect(tree["b"]?["c"] == "x\nyé😀/")
        #expect(try JSONTree(parsing: "9223372036854775807").integer == .max)
        #expect(try JSONTree(parsing: "9223372036854775808") == .number(9_223_372_036_854_775_808))
        #expect(try JSONTree(parsing: "2.0").integer == 2)
        #expect(try JSONTree(parsing: "2.5").integer == nil)
    }

    @Test(arguments: [
        "", "{", "[1,]", "{a:1}", "{\"a\":1,}", "01", "-", "1.", "1.x", "+1", "NaN", "\"\u{1}\"", #""\x""#, "tru",
        "truE", "{} {}",
        String(repeating: "[", count: 65), String(repeating: #"{"a":"#, count: 100_000),
    ])
    func `refuses what is not JSON`(text: String) {
        #expect(throws: JSONSyntaxError.self) { try JSONTree(parsing: text) }
    }

    @Test func `refuses bad UTF-8`() {
        #expect(throws: JSONSyntaxError.self) { try JSONTree(parsing: [0x22, 0xFF, 0x22]) }
    }

    @Test func `counts only brackets outside strings`() throws {
        let text = "\"" + String(repeating: "[", count: 1000) + "\""
        #expect(try JSONTree(parsing: text).string?.count == 1000)
        let nested = String(repeating: "[", count: 64) + String(repeating: "]", count: 64)
        #expect(try JSONTree(parsing: nested).array?.count == 1)
    }

    @Test func `survives every truncation and random octets`() throws {
        let text = Array(#"{"a":[1,-2.5e3,"\u00e9x",{"b":null}],"c":true}"#.utf8)
        for length in 0..<text.count {
            #expect(throws: JSONSyntaxError.self) { try JSONTree(parsing: Array(text[..<length])) }
        }
        var generator = SeededGenerator(seed: 7)
        for _ in 0..<2000 {
            var mutated = text
            mutated[Int.random(in: mutated.indices, using: &generator)] = UInt8.random(
                in: .min ... .max,
                using: &generator
            )
            _ = try? JSONTree(parsing: mutated)
        }
    }

    @Test func `refuses more values than any body needs`() throws {
        let many = "[" + String(repeating: "1,", count: JSONTree.valueLimit - 3) + "1]"
        #expect(try JSONTree(parsing: many).array?.count == JSONTree.valueLimit - 2)
        #expect(throws: JSONSyntaxError.self) { try JSONTree(parsing: "[" + many + ",1]") }
        #expect(throws: JSONSyntaxError.self) { try JSONTree(parsing: String(repeating: "[],", count: 300_000)) }
    }

    @Test func `writes sorted members and reads them back`() throws {
        let tree: JSONTree = ["b": [1, .number(1.5), .null, true], "a": "x/y"]
        let text = try ModelJSON.text(tree)
        #expect(text == #"{"a":"x/y","b":[1,1.5,null,true]}"#)
        #expect(try ModelJSON.decode(JSONTree.self, from: text) == tree)
    }
}

/// SplitMix64, so that runs repeat.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
        return mixed ^ mixed >> 31
    }
}
