/// `templates`: saved guests, of which later VMs of the same shape begin as copies.
package struct TemplatesSection: ConfigurationSection {
    /// Whether guests are saved and copied at all.
    package var enabled = true
    /// How much disk all templates may take.
    package var maxSizeMiB = 2048
    /// How long a template is kept that nobody uses.
    package var maxAge = Duration.seconds(7 * 86_400)

    /// The defaults.
    package init() {}

    package mutating func visit(_ visitor: inout some ConfigurationVisitor) {
        visitor.value("enabled", &enabled)
        visitor.value("maxSizeMiB", &maxSizeMiB)
        visitor.value("maxAge", &maxAge)
    }
}
