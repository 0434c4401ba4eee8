/// Why bytes are not a JSON document (RFC 8259).
package struct JSONSyntaxError: Error, Equatable, Sendable {
    /// What is wrong at the place.
    package enum Reason: String, Sendable {
        case unexpectedEnd = "the document ends too early"
        case unexpectedByte = "unexpected character"
        case trailingBytes = "more text after the document"
        case badNumber = "a number is malformed"
        case badString = "a string holds a bad escape, a control character or bad UTF-8"
        case duplicateMember = "an object names a member twice"
        case tooDeep = "values are nested too deeply"
    }

    /// The octet at which reading stopped, counted from 0.
    package let offset: Int
    /// What is wrong there.
    package let reason: Reason
}

extension JSONTree {
    /// How many arrays and objects may lie inside each other; deeper input could exhaust the stack.
    package static let depthLimit = 64

    /// Reads one document; unlike `JSONDecoder` it refuses members named twice, of which readers keep different ones.
    package init(parsing bytes: [UInt8]) throws(JSONSyntaxError) {
        var parser = JSONParser(bytes: bytes)
        self = try parser.document()
    }

    /// Reads one document from text.
    package init(parsing text: String) throws(JSONSyntaxError) {
        try self.init(parsing: Array(text.utf8))
    }
}

private struct JSONParser {
    let bytes: [UInt8]
    var offset = 0

    init(bytes: [UInt8]) { self.bytes = bytes }

    mutating func document() throws(JSONSyntaxError) -> JSONTree {
        let value = try value(depth: 0)
        skipBlanks()
        guard offset == bytes.count else { throw failure(.trailingBytes) }
        return value
    }

    private func failure(_ reason: JSONSyntaxError.Reason) -> JSONSyntaxError {
        JSONSyntaxError(offset: offset, reason: reason)
    }

    private var next: UInt8? { offset < bytes.count ? bytes[offset] : nil }

    private mutating func skipBlanks() {
        while let byte = next, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { offset += 1 }
    }

    private mutating func expect(_ byte: UInt8) throws(JSONSyntaxError) {
        guard let found = next else { throw failure(.unexpectedEnd) }
        guard found == byte else { throw failure(.unexpectedByte) }
        offset += 1
    }

    private mutating func value(depth: Int) throws(JSONSyntaxError) -> JSONTree {
        skipBlanks()
        guard let byte = next else { throw failure(.unexpectedEnd) }
        switch byte {
        case UInt8(ascii: "{"): return try object(depth: depth + 1)
        case UInt8(ascii: "["): return try array(depth: depth + 1)
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try number()
        default: throw failure(.unexpectedByte)
        }
    }

    private mutating func word(_ word: StaticString, _ value: JSONTree) throws(JSONSyntaxError) -> JSONTree {
        for byte in word.description.utf8 { try expect(byte) }
        return value
    }

    private mutating func object(depth: Int) throws(JSONSyntaxError) -> JSONTree {
        guard depth <= JSONTree.depthLimit else { throw failure(.tooDeep) }
        offset += 1
        var members: [String: JSONTree] = [:]
        skipBlanks()
        if next == UInt8(ascii: "}") {
            offset += 1
            return .object(members)
        }
        while true {
            skipBlanks()
            let start = offset
            guard next == UInt8(ascii: "\"") else {
                throw failure(next == nil ? .unexpectedEnd : .unexpectedByte)
            }
            let name = try string()
            skipBlanks()
            try expect(UInt8(ascii: ":"))
            let value = try value(depth: depth)
            guard members.updateValue(value, forKey: name) == nil else {
                throw JSONSyntaxError(offset: start, reason: .duplicateMember)
            }
            skipBlanks()
            if next == UInt8(ascii: ",") {
                offset += 1
                continue
            }
            try expect(UInt8(ascii: "}"))
            return .object(members)
        }
    }

    private mutating func array(depth: Int) throws(JSONSyntaxError) -> JSONTree {
        guard depth <= JSONTree.depthLimit else { throw failure(.tooDeep) }
        offset += 1
        var elements: [JSONTree] = []
        skipBlanks()
        if next == UInt8(ascii: "]") {
            offset += 1
            return .array(elements)
        }
        while true {
            elements.append(try value(depth: depth))
            skipBlanks()
            if next == UInt8(ascii: ",") {
                offset += 1
                continue
            }
            try expect(UInt8(ascii: "]"))
            return .array(elements)
        }
    }

    private mutating func digits() throws(JSONSyntaxError) {
        guard let first = next else { throw failure(.unexpectedEnd) }
        guard (0x30...0x39).contains(first) else { throw failure(.badNumber) }
        while let byte = next, (0x30...0x39).contains(byte) { offset += 1 }
    }

    private mutating func number() throws(JSONSyntaxError) -> JSONTree {
        let start = offset
        var isInteger = true
        if next == UInt8(ascii: "-") { offset += 1 }
        if next == UInt8(ascii: "0") { offset += 1 } else { try digits() }
        if next == UInt8(ascii: ".") {
            isInteger = false
            offset += 1
            try digits()
        }
        if next == UInt8(ascii: "e") || next == UInt8(ascii: "E") {
            isInteger = false
            offset += 1
            if next == UInt8(ascii: "+") || next == UInt8(ascii: "-") { offset += 1 }
            try digits()
        }
        if let byte = next, (0x30...0x39).contains(byte) { throw failure(.badNumber) }
        let text = String(decoding: bytes[start..<offset], as: UTF8.self)
        if isInteger, let value = Int64(text) { return .integer(value) }
        guard let value = Double(text) else { throw failure(.badNumber) }
        return .number(value)
    }

    private mutating func string() throws(JSONSyntaxError) -> String {
        offset += 1
        var octets: [UInt8] = []
        while let byte = next {
            switch byte {
            case UInt8(ascii: "\""):
                guard let text = String(validating: octets, as: UTF8.self) else { throw failure(.badString) }
                offset += 1
                return text
            case UInt8(ascii: "\\"):
                offset += 1
                try escape(into: &octets)
            case 0..<0x20: throw failure(.badString)
            default:
                octets.append(byte)
                offset += 1
            }
        }
        throw failure(.unexpectedEnd)
    }

    private mutating func escape(into octets: inout [UInt8]) throws(JSONSyntaxError) {
        guard let byte = next else { throw failure(.unexpectedEnd) }
        offset += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): octets.append(byte)
        case UInt8(ascii: "b"): octets.append(0x08)
        case UInt8(ascii: "f"): octets.append(0x0C)
        case UInt8(ascii: "n"): octets.append(0x0A)
        case UInt8(ascii: "r"): octets.append(0x0D)
        case UInt8(ascii: "t"): octets.append(0x09)
        case UInt8(ascii: "u"):
            var code = try hexQuad()
            if (0xD800..<0xDC00).contains(code) {
                try expect(UInt8(ascii: "\\"))
                try expect(UInt8(ascii: "u"))
                let low = try hexQuad()
                guard (0xDC00..<0xE000).contains(low) else { throw failure(.badString) }
                code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
            }
            guard let scalar = Unicode.Scalar(code) else { throw failure(.badString) }
            octets.append(contentsOf: UTF8.encode(scalar).map(Array.init) ?? [])
        default: throw failure(.badString)
        }
    }

    private mutating func hexQuad() throws(JSONSyntaxError) -> UInt32 {
        var code: UInt32 = 0
        for _ in 0..<4 {
            guard let byte = next else { throw failure(.unexpectedEnd) }
            guard let digit = Character(UnicodeScalar(byte)).hexDigitValue else { throw failure(.badString) }
            code = code << 4 | UInt32(digit)
            offset += 1
        }
        return code
    }
}
