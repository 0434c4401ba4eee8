import Testing
import WarrenModel

@Suite("JSONTree (RFC 8259)") struct JSONTreeTests {
    @Test func `reads every kind of value`() throws {
        let tree = try JSONTree(parsing: #" {"a": [1, -2.5, 1e3, true, false, null], "b": {"c": "x\ny\u00e9\ud83d\ude00\/"}} "#)
        #expect(tree["a"] == [1, .number(-2.5), .number(1000), true, false, .null])
        #expect(tree["b"]?["c"] == "x\nyé😀/")
        #expect(try JSONTree(parsing: "9223372036854775807").integer == .max)
        #expect(try JSONTree(parsing: "9223372036854775808") == .number(9_223_372_036_854_775_808))
        #expect(try JSONTree(parsing: "2.0").integer == 2)
        #expect(try JSONTree(parsing: "2.5").integer == nil)
    }

    @Test(arguments: [
        ("", JSONSyntaxError.Reason.unexpectedEnd), ("{", .unexpectedEnd), ("[1,]", .unexpectedByte), ("{a:1}", .unexpectedByte),
        ("{\"a\":1,}", .unexpectedByte), ("01", .badNumber), ("-", .unexpectedEnd), ("1.", .unexpectedEnd), ("1.x", .badNumber),
        ("+1", .unexpectedByte), ("NaN", .unexpectedByte), ("\"\u{1}\"", .badString), (#""\x""#, .badString),
        (#""\ud800""#, .unexpectedByte), (#""\ud800\u0041""#, .badString), (#""\udc00""#, .badString), ("tru", .unexpectedEnd), ("truE", .unexpectedByte),
        ("{} {}", .trailingBytes), (#"{"a":1,"a":2}"#, .duplicateMember), ("\u{FEFF}{}", .unexpectedByte),
        (String(repeating: "[", count: 65), .tooDeep), (String(repeating: #"{"a":"#, count: 100_000), .tooDeep),
    ])
    func `refuses what is not JSON`(text: String, reason: JSONSyntaxError.Reason) {
        let error = #expect(throws: JSONSyntaxError.self) { try JSONTree(parsing: text) }
        #expect(error?.reason == reason)
    }

    @Test func `refuses bad UTF-8`() {
        let error = #expect(throws: JSONSyntaxError.self) { try JSONTree(parsing: [0x22, 0xFF, 0x22]) }
        #expect(error?.reason == .badString && error?.offset == 2)
    }

    @Test func `survives every truncation and random octets`() throws {
        let text = Array(#"{"a":[1,-2.5e3,"\u00e9x",{"b":null}],"c":true}"#.utf8)
        for length in 0..<text.count {
            #expect(throws: JSONSyntaxError.self) { try JSONTree(parsing: Array(text[..<length])) }
        }
        var generator = SeededGenerator(seed: 7)
        for _ in 0..<2000 {
            var mutated = text
            mutated[Int.random(in: mutated.indices, using: &generator)] = UInt8.random(in: .min ... .max, using: &generator)
            _ = try? JSONTree(parsing: mutated)
        }
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
