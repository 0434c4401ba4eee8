package import Logging
package import NetTypes
package import WarrenModel
package import Yams

/// A value that can stand behind a key of the configuration.
package protocol ConfigurationValue: Sendable, Equatable {
    /// What is expected, as in "expected …".
    static var expectation: String { get }
    /// Reads the value; nil when the node is of another type or says something impossible.
    init?(configuration node: Node)
    /// The value as it stands in a file.
    var configurationNode: Node { get }
}

/// A value that is written as one unstructured word.
package protocol ConfigurationWord: ConfigurationValue {
    /// Reads the word; nil when it says something impossible.
    init?(configurationText text: String)
    /// The word as it stands in a file.
    var configurationText: String { get }
}

extension ConfigurationWord {
    package init?(configuration node: Node) {
        guard case .scalar(let scalar) = node, !scalar.isNull else { return nil }
        self.init(configurationText: scalar.string)
    }

    package var configurationNode: Node { Node(configurationText) }
}

extension Node.Scalar {
    /// Whether an unquoted scalar says "no value"; `"null"` in quotes is a word.
    var isNull: Bool { style == .plain && ["", "~", "null", "Null", "NULL"].contains(string) }
}

extension String: ConfigurationWord {
    package static var expectation: String { "a text" }
    package init?(configurationText text: String) {
        guard !text.isEmpty, !text.contains("\0") else { return nil }
        self = text
    }
    package var configurationText: String { self }
}

extension Bool: ConfigurationValue {
    package static var expectation: String { "true or false" }
    package init?(configuration node: Node) {
        guard case .scalar(let scalar) = node, scalar.style == .plain else { return nil }
        switch scalar.string {
        case "true": self = true
        case "false": self = false
        default: return nil
        }
    }
    package var configurationNode: Node { Node(self ? "true" : "false") }
}

extension Int: ConfigurationValue {
    package static var expectation: String { "a whole number above 0" }
    package init?(configuration node: Node) {
        guard case .scalar(let scalar) = node, scalar.style == .plain, let number = Int(scalar.string), number > 0,
            number <= 1 << 40
        else { return nil }
        self = number
    }
    package var configurationNode: Node { Node(String(self)) }
}

extension Optional: ConfigurationValue where Wrapped: ConfigurationValue {
    package static var expectation: String { "\(Wrapped.expectation) or null" }
    package init?(configuration node: Node) {
        if case .scalar(let scalar) = node, scalar.isNull {
            self = .none
            return
        }
        guard let wrapped = Wrapped(configuration: node) else { return nil }
        self = wrapped
    }
    package var configurationNode: Node { self?.configurationNode ?? Node("null") }
}

extension Array: ConfigurationValue where Element: ConfigurationValue {
    package static var expectation: String { "a list, each \(Element.expectation)" }
    package init?(configuration node: Node) {
        guard case .sequence(let sequence) = node else { return nil }
        self = []
        for item in sequence {
            guard let element = Element(configuration: item) else { return nil }
            append(element)
        }
    }
    package var configurationNode: Node {
        Node(map(\.configurationNode), .implicit, .flow)
    }
}

extension Duration: ConfigurationWord {
    package static var expectation: String { "a duration above 0 such as 500ms, 30s or 5m" }
    package init?(configurationText text: String) {
        guard let duration = Duration(goText: text), duration > .zero else { return nil }
        self = duration
    }
    package var configurationText: String { goText }
}

extension AddressPort: ConfigurationWord {
    package static var expectation: String { "an address and a port such as \"127.0.0.1:7080\" or \"[::1]:7080\"" }
    package init?(configurationText text: String) { self.init(text) }
    package var configurationText: String { description }
}

extension IPAddress: ConfigurationWord {
    package static var expectation: String { "an IP address" }
    package init?(configurationText text: String) { self.init(text) }
    package var configurationText: String { description }
}

extension IPPrefix: ConfigurationWord {
    package static var expectation: String { "an address prefix such as 10.0.0.0/8" }
    package init?(configurationText text: String) {
        guard let prefix = IPPrefix(text), prefix == prefix.masked else { return nil }
        self = prefix
    }
    package var configurationText: String { description }
}

extension WebURL: ConfigurationWord {
    package static var expectation: String { "an http:// or https:// URL without query or credentials" }
    package init?(configurationText text: String) {
        guard let url = WebURL(text), !url.target.contains("?") else { return nil }
        self = url
    }
    package var configurationText: String { text }
}

extension ControlTarget: ConfigurationWord {
    package static var expectation: String { "embedded, or \(WebURL.expectation)" }
    package init?(configurationText text: String) {
        guard let target = ControlTarget(text) else { return nil }
        if case .url(let url) = target, url.target.contains("?") { return nil }
        self = target
    }
    package var configurationText: String { description }
}

extension Logger.Level: ConfigurationWord {
    package static var expectation: String { allCases.map(\.rawValue).joined(separator: ", ") }
    package init?(configurationText text: String) { self.init(rawValue: text) }
    package var configurationText: String { rawValue }
}

/// A closed choice between words.
package protocol ConfigurationChoice: ConfigurationWord, CaseIterable, RawRepresentable where RawValue == String {}

extension ConfigurationChoice {
    package static var expectation: String { "one of " + allCases.map(\.rawValue).joined(separator: ", ") }
    package init?(configurationText text: String) { self.init(rawValue: text) }
    package var configurationText: String { rawValue }
}
