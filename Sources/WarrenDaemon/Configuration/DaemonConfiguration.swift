/// Everything that `warrend.yaml` can say, with its defaults.
package struct DaemonConfiguration: ConfigurationSection {
    /// Where everything durable is kept; nil for the default of the user.
    package var stateDirectory: String?
    /// Where the HTTP API is served.
    package var listen = ListenSection()
    /// What is logged, and how.
    package var log = LogSection()
    /// What VMs are made of and how many there may be.
    package var vms = VMsSection()
    /// What later VMs of the same shape begin from.
    package var templates = TemplatesSection()
    /// Which control server nodes talk to.
    package var control = ControlSection()
    /// What all tailnet nodes of this host share.
    package var tailnet = TailnetSection()
    /// Where webhooks may go.
    package var webhooks = WebhooksSection()

    /// The defaults.
    package init() {}

    package mutating func visit(_ visitor: inout some ConfigurationVisitor) {
        visitor.value("stateDirectory", &stateDirectory)
        visitor.section("listen", &listen)
        visitor.section("log", &log)
        visitor.section("vms", &vms)
        visitor.section("templates", &templates)
        visitor.section("control", &control)
        visitor.section("tailnet", &tailnet)
        visitor.section("webhooks", &webhooks)
    }

    /// The YAML that gives exactly this configuration.
    package var yaml: String { ConfigurationPrinter.yaml(of: self) }
}
