/// A part of the configuration that lists its keys once; reading, printing and checking all walk this list.
package protocol ConfigurationSection: Sendable, Equatable {
    /// Shows every key and its value to the visitor, in the order of the file.
    mutating func visit(_ visitor: inout some ConfigurationVisitor)
}

/// Something that walks the keys of the configuration: the strict reader, or the printer.
package protocol ConfigurationVisitor {
    /// Meets one value.
    mutating func value(_ key: String, _ value: inout some ConfigurationValue)
    /// Meets one section and walks it.
    mutating func section(_ key: String, _ section: inout some ConfigurationSection)
}
