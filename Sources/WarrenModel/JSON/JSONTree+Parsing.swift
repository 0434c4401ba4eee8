import FoundationEssentials

/// Why bytes are not a JSON document (RFC 8259).
package struct JSONSyntaxError: Error, Equatable, Sendable {
    /// One sentence for people, with the place where that is known.
    package let detail: String
}

extension JSONTree {
    /// How many arrays and objects may lie inside each other; deeper input could exhaust the stack of its reader.
    package static let depthLimit = 64

    /// How many values a document may have: reading one costs some ten microseconds, and no body of the API needs a tenth of it.
    package static let valueLimit = 16_384

    /// Reads one document.
    package init(parsing bytes: [UInt8]) throws(JSONSyntaxError) {
        try Self.checkBrackets(in: bytes)
        do {
            self = try JSONDecoder().decode(JSONTree.self, from: Data(bytes))
        } catch DecodingError.dataCorrupted(let context) {
            throw JSONSyntaxError(
                detail: context.underlyingError.map { String(describing: $0) } ?? context.debugDescription
            )
        } catch {
            throw JSONSyntaxError(detail: "A number is too large.")
        }
    }

    /// Reads one document from text.
    package init(parsing text: String) throws(JSONSyntaxError) {
        try self.init(parsing: Array(text.utf8))
    }

    /// Refuses what Foundation's parser would take: nesting and values without bound, and a comma before a closing bracket.
    private static func checkBrackets(in bytes: [UInt8]) throws(JSONSyntaxError) {
        var depth = 0
        var valueCount = 1
        var inString = false
        var isEscaped = false
        var isAfterComma = false
        for byte in bytes {
            if inString {
                if isEscaped {
                    isEscaped = false
                } else if byte == UInt8(ascii: "\\") {
                    isEscaped = true
                } else if byte == UInt8(ascii: "\"") {
                    inString = false
                }
                continue
            }
            switch byte {
            case 0x09, 0x0A, 0x0D, 0x20: continue
            case UInt8(ascii: "\""): inString = true
            case UInt8(ascii: "["), UInt8(ascii: "{"):
                depth += 1
                guard depth <= depthLimit else {
                    throw JSONSyntaxError(detail: "Values are nested more than \(depthLimit) deep.")
                }
            case UInt8(ascii: "]"), UInt8(ascii: "}"):
                guard !isAfterComma else { throw JSONSyntaxError(detail: "A comma stands before a closing bracket.") }
                depth -= 1
            default: break
            }
            isAfterComma = byte == UInt8(ascii: ",")
            if isAfterComma || byte == UInt8(ascii: "[") || byte == UInt8(ascii: "{") { valueCount += 1 }
            guard valueCount <= valueLimit else {
                throw JSONSyntaxError(detail: "There are more than \(valueLimit) values.")
            }
        }
    }
}
