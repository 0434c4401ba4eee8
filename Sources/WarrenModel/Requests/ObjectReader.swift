/// Collects the faults of one request body while readers walk it.
package final class FaultList {
    /// The faults so far.
    package private(set) var errors: [FieldError] = []

    /// Begins with none.
    package init() {}

    /// Adds a fault.
    package func add(_ code: FieldError.Code, at pointer: String, _ detail: String) {
        errors.append(FieldError(pointer: pointer, code: code, detail: detail))
    }

    /// Throws everything found, when there is anything.
    package func check() throws(ValidationFailure) {
        if !errors.isEmpty { throw ValidationFailure(errors) }
    }
}

/// Reads the members of one JSON object strictly: each is asked for by name, and what nobody asked for is a fault.
///
/// A reader never stops at a fault; it notes it and answers nil, so that one pass finds them all.
package struct ObjectReader: ~Copyable {
    /// Where the object is in the body; empty for the body itself.
    package let pointer: String
    /// Where faults are noted.
    package let faults: FaultList
    private let members: [String: JSONTree]
    private var asked: Set<String> = []

    /// Reads `tree` as an object; anything else is noted as a wrong type and yields nil.
    package static func read<Value>(
        _ tree: JSONTree,
        at pointer: String = "",
        into faults: FaultList,
        _ body: (inout ObjectReader) -> Value?
    ) -> Value? {
        guard case .object(let members) = tree else {
            faults.add(.wrongType, at: pointer, "must be an object, not \(tree.kind)")
            return nil
        }
        var reader = ObjectReader(pointer: pointer, faults: faults, members: members)
        let value = body(&reader)
        for name in members.keys.sorted() where !reader.asked.contains(name) {
            faults.add(.unknownMember, at: reader.path(name), "is not a member of this object")
        }
        return value
    }

    /// Reads a whole body, or throws every fault in it.
    package static func decode<Value>(
        _ tree: JSONTree,
        _ body: (inout ObjectReader) -> Value?
    ) throws(ValidationFailure) -> Value {
        let faults = FaultList()
        let value = read(tree, into: faults, body)
        try faults.check()
        guard let value else {
            throw ValidationFailure([FieldError(pointer: "", code: .badFormat, detail: "cannot be read")])
        }
        return value
    }

    private init(pointer: String, faults: FaultList, members: [String: JSONTree]) {
        self.pointer = pointer
        self.faults = faults
        self.members = members
    }

    /// The JSON pointer of a member of this object.
    package func path(_ name: String) -> String { pointer + "/" + Self.escape(name) }

    /// A member name as a reference token (RFC 6901 §3).
    package static func escape(_ name: String) -> String {
        var token = ""
        for character in name {
            switch character {
            case "~": token += "~0"
            case "/": token += "~1"
            default: token.append(character)
            }
        }
        return token
    }

    /// Notes a fault of a member.
    package func fail(_ name: String, _ code: FieldError.Code, _ detail: String) {
        faults.add(code, at: path(name), detail)
    }

    /// The member as it is, or nil when absent.
    package mutating func tree(_ name: String) -> JSONTree? {
        asked.insert(name)
        return members[name]
    }

    /// The member, noting its absence as a fault when `required` and, unless `nullable`, a `null`.
    package mutating func value(_ name: String, required: Bool = false, nullable: Bool = false) -> JSONTree? {
        guard let tree = tree(name) else {
            if required { fail(name, .required, "is required") }
            return nil
        }
        guard nullable, tree.isNull else { return tree }
        return nil
    }

    /// Notes members of the contract that this version does not serve, so that none is silently ignored.
    package mutating func notSupported(_ names: String...) {
        for name in names where tree(name) != nil {
            fail(name, .notSupported, "is not served by this version yet")
        }
    }

    private func wrongType(_ name: String, _ wanted: String, _ tree: JSONTree) {
        fail(name, .wrongType, "must be \(wanted), not \(tree.kind)")
    }
}

extension ObjectReader {
    /// A truth value.
    package mutating func bool(_ name: String, required: Bool = false) -> Bool? {
        guard let tree = value(name, required: required) else { return nil }
        guard let value = tree.bool else {
            wrongType(name, "a boolean", tree)
            return nil
        }
        return value
    }

    /// A whole number within `range`.
    package mutating func integer(_ name: String, in range: ClosedRange<Int>, required: Bool = false) -> Int? {
        guard let tree = value(name, required: required) else { return nil }
        guard let value = tree.integer else {
            if case .number(let number) = tree, number.rounded() == number {
                fail(name, .outOfRange, "must be \(range.lowerBound) to \(range.upperBound)")
            } else {
                wrongType(name, "an integer", tree)
            }
            return nil
        }
        guard let value = Int(exactly: value), range.contains(value) else {
            fail(name, .outOfRange, "must be \(range.lowerBound) to \(range.upperBound)")
            return nil
        }
        return value
    }

    /// A string of so many octets, without control characters unless `multiline` allows tabs and line ends.
    package mutating func string(
        _ name: String,
        octets: ClosedRange<Int> = 0...4096,
        required: Bool = false,
        nullable: Bool = false,
        multiline: Bool = false
    ) -> String? {
        guard let tree = value(name, required: required, nullable: nullable) else { return nil }
        guard let text = tree.string else {
            wrongType(name, "a string", tree)
            return nil
        }
        return Self.checked(text, octets: octets, multiline: multiline, at: path(name), faults) ? text : nil
    }

    /// A string that `parse` understands; `format` says how it is written.
    package mutating func parsed<Value>(
        _ name: String,
        format: String,
        octets: ClosedRange<Int> = 0...16384,
        required: Bool = false,
        nullable: Bool = false,
        _ parse: (String) -> Value?
    ) -> Value? {
        let text = string(name, octets: octets, required: required, nullable: nullable)
        guard let text else { return nil }
        guard let value = parse(text) else {
            fail(name, .badFormat, "must be \(format)")
            return nil
        }
        return value
    }

    /// One of the words of an enumeration.
    package mutating func choice<Value: RawRepresentable<String> & CaseIterable>(
        _ name: String,
        of type: Value.Type = Value.self,
        required: Bool = false
    ) -> Value? {
        parsed(name, format: "one of " + Value.allCases.map(\.rawValue).joined(separator: ", "), required: required) {
            Value(rawValue: $0)
        }
    }

    /// A span of time as Go writes it, within `range`.
    package mutating func duration(_ name: String, in range: ClosedRange<Duration>, nullable: Bool = false) -> Duration?
    {
        guard
            let value = parsed(
                name,
                format: "a duration such as 30s or 5m",
                nullable: nullable,
                { Duration(goText: $0) }
            )
        else { return nil }
        guard range.contains(value) else {
            fail(name, .outOfRange, "must be \(range.lowerBound.goText) to \(range.upperBound.goText)")
            return nil
        }
        return value
    }

    /// A nested object.
    package mutating func object<Value>(
        _ name: String,
        required: Bool = false,
        nullable: Bool = false,
        _ body: (inout ObjectReader) -> Value?
    ) -> Value? {
        guard let tree = value(name, required: required, nullable: nullable) else { return nil }
        return Self.read(tree, at: path(name), into: faults, body)
    }

    /// An array of so many elements, each read by `element` with its JSON pointer; faulty elements are left out.
    package mutating func array<Value>(
        _ name: String,
        count: ClosedRange<Int>,
        required: Bool = false,
        _ element: (JSONTree, String) -> Value?
    ) -> [Value]? {
        guard let tree = value(name, required: required) else { return nil }
        guard let elements = tree.array else {
            wrongType(name, "an array", tree)
            return nil
        }
        guard count.contains(elements.count) else {
            fail(name, .outOfRange, "must have \(count.lowerBound) to \(count.upperBound) elements")
            return nil
        }
        return elements.enumerated().compactMap { element($1, path(name) + "/\($0)") }
    }

    /// An array of strings of so many octets each.
    package mutating func strings(
        _ name: String,
        count: ClosedRange<Int>,
        octets: ClosedRange<Int>,
        required: Bool = false,
        multiline: Bool = false
    ) -> [String]? {
        let faults = faults
        return array(name, count: count, required: required) { tree, pointer in
            guard let text = tree.string else {
                faults.add(.wrongType, at: pointer, "must be a string, not \(tree.kind)")
                return nil
            }
            return Self.checked(text, octets: octets, multiline: multiline, at: pointer, faults) ? text : nil
        }
    }

    /// An object whose members are all strings, such as labels; `isKey` checks the names and `keyFormat` describes them.
    package mutating func dictionary(
        _ name: String,
        count: Int,
        keyFormat: String,
        isKey: (String) -> Bool,
        valueOctets: ClosedRange<Int>,
        multiline: Bool = false
    ) -> [String: String]? {
        guard let tree = value(name) else { return nil }
        guard let members = tree.object else {
            wrongType(name, "an object", tree)
            return nil
        }
        guard members.count <= count else {
            fail(name, .outOfRange, "must have at most \(count) members")
            return nil
        }
        var result: [String: String] = [:]
        for (key, value) in members.sorted(by: { $0.key < $1.key }) {
            let pointer = path(name) + "/" + Self.escape(key)
            if !isKey(key) { faults.add(.badFormat, at: pointer, "the name must be \(keyFormat)") }
            guard let text = value.string else {
                faults.add(.wrongType, at: pointer, "must be a string, not \(value.kind)")
                continue
            }
            if Self.checked(text, octets: valueOctets, multiline: multiline, at: pointer, faults) { result[key] = text }
        }
        return result
    }

    private static func checked(
        _ text: String,
        octets: ClosedRange<Int>,
        multiline: Bool,
        at pointer: String,
        _ faults: FaultList
    ) -> Bool {
        guard octets.contains(text.utf8.count) else {
            faults.add(.outOfRange, at: pointer, "must have \(octets.lowerBound) to \(octets.upperBound) octets")
            return false
        }
        let isClean = text.utf8.allSatisfy { byte in
            (byte >= 0x20 && byte != 0x7F) || (multiline && (byte == 0x09 || byte == 0x0A || byte == 0x0D))
        }
        if !isClean { faults.add(.badFormat, at: pointer, "must not contain control characters") }
        return isClean
    }
}
