package import NetTypes

/// `listen`: where the HTTP API is served.
package struct ListenSection: ConfigurationSection {
    /// The TCP address, or off.
    package var http = ListenAddress.address(AddressPort(.v4(.loopback), port: 7080))
    /// The Unix socket, which needs no token.
    package var unixSocket = UnixSocketChoice.automatic
    /// Whether TCP without TLS may be served off loopback.
    package var allowPlainHTTP = PlainHTTPListening.loopback
    /// The certificate for TCP.
    package var tls = TLSSection()

    /// The defaults.
    package init() {}

    package mutating func visit(_ visitor: inout some ConfigurationVisitor) {
        visitor.value("http", &http)
        visitor.value("unixSocket", &unixSocket)
        visitor.value("allowPlainHTTP", &allowPlainHTTP)
        visitor.section("tls", &tls)
    }
}

/// `tls` of a TCP listener: its certificate; both or neither.
package struct TLSSection: ConfigurationSection {
    /// A PEM file with the certificate chain.
    package var certificate: String?
    /// A PEM file with the private key.
    package var privateKey: String?

    /// The word, in place of a file, for a certificate that the server makes itself.
    package static let automatic = "auto"

    /// The defaults.
    package init() {}

    package mutating func visit(_ visitor: inout some ConfigurationVisitor) {
        visitor.value("certificate", &certificate)
        visitor.value("privateKey", &privateKey)
    }
}

/// A TCP listener, or none.
package enum ListenAddress: ConfigurationWord {
    /// Nothing is served.
    case off
    /// Served at this address; port 0 is any free port.
    case address(AddressPort)

    package static var expectation: String { "off, or \(AddressPort.expectation)" }
    package init?(configurationText text: String) {
        if text == "off" {
            self = .off
        } else if let address = AddressPort(text) {
            self = .address(address)
        } else {
            return nil
        }
    }
    package var configurationText: String {
        switch self {
        case .off: "off"
        case .address(let address): address.description
        }
    }

    /// The address, when something is served.
    package var address: AddressPort? {
        if case .address(let address) = self { address } else { nil }
    }
}

/// Where the Unix socket is.
package enum UnixSocketChoice: ConfigurationWord {
    /// The place where the command line looks.
    case automatic
    /// None.
    case off
    /// This absolute path.
    case path(String)

    package static var expectation: String { "auto, off, or an absolute path" }
    package init?(configurationText text: String) {
        switch text {
        case "auto": self = .automatic
        case "off": self = .off
        default:
            guard text.hasPrefix("/"), !text.hasSuffix("/"), !text.contains("\0") else { return nil }
            self = .path(text)
        }
    }
    package var configurationText: String {
        switch self {
        case .automatic: "auto"
        case .off: "off"
        case .path(let path): path
        }
    }
}

/// Where the API may be served without TLS.
package enum PlainHTTPListening: String, ConfigurationChoice {
    /// On loopback addresses only.
    case loopback
    /// Anywhere: someone else encrypts.
    case always
}
