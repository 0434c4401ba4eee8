package import NetTypes

/// `webhooks`: where deliveries may go.
package struct WebhooksSection: ConfigurationSection {
    /// Networks that are allowed though they are loopback, private or otherwise special.
    package var allowNetworks: [IPPrefix] = []
    /// Whether `http:` endpoints are allowed.
    package var allowHTTP = false
    /// How long one attempt may take.
    package var timeout = Duration.seconds(15)

    /// The defaults.
    package init() {}

    package mutating func visit(_ visitor: inout some ConfigurationVisitor) {
        visitor.value("allowNetworks", &allowNetworks)
        visitor.value("allowHTTP", &allowHTTP)
        visitor.value("timeout", &timeout)
    }
}
