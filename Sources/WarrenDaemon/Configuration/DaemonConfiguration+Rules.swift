import NetTypes
import WarrenModel

extension DaemonConfiguration {
    /// Checks what no single value can know: ranges, and values that contradict each other.
    func checkRules(_ problems: ProblemList) {
        if let stateDirectory, !stateDirectory.hasPrefix("/") {
            problems.noteRule("stateDirectory", "must be an absolute path")
        }
        listen.checkRules(problems)
        vms.checkRules(problems)
        if templates.maxSizeMiB < 1 { problems.noteRule("templates.maxSizeMiB", "must be at least 1") }
        control.checkRules(problems)
    }
}

extension ListenSection {
    fileprivate func checkRules(_ problems: ProblemList) {
        if (tls.certificate == nil) != (tls.privateKey == nil) {
            problems.noteRule("listen.tls", "needs both certificate and privateKey, or neither")
        }
        if case .address(let address) = http, !address.address.isLoopback, tls.certificate == nil,
            allowPlainHTTP == .loopback
        {
            problems.noteRule(
                "listen.http",
                "\(address) is not a loopback address: give listen.tls, or set listen.allowPlainHTTP to always"
            )
        }
        if http == .off, unixSocket == .off {
            problems.noteRule("listen", "http and unixSocket are both off: nobody could reach the daemon")
        }
    }
}

extension VMsSection {
    fileprivate func checkRules(_ problems: ProblemList) {
        if defaultMemoryMiB > maxMemoryMiBPerVM {
            problems.noteRule("vms.defaultMemoryMiB", "is above vms.maxMemoryMiBPerVM (\(maxMemoryMiBPerVM))")
        }
        if maxMemoryMiBPerVM > maxMemoryMiB {
            problems.noteRule("vms.maxMemoryMiBPerVM", "is above vms.maxMemoryMiB (\(maxMemoryMiB))")
        }
    }
}

extension ControlSection {
    fileprivate func checkRules(_ problems: ProblemList) {
        if case .url(let url) = defaultURL, !permits(url) {
            problems.noteRule(
                "control.defaultURL",
                "is http:, which control.allowPlainHTTP (\(allowPlainHTTP)) refuses"
            )
        }
        if defaultURL == .embedded, !embedded.enabled {
            problems.noteRule("control.defaultURL", "is embedded, but control.embedded.enabled is false: name a URL")
        }
        if embedded.enabled { embedded.checkRules(problems) }
    }

    private func permits(_ url: WebURL) -> Bool {
        if url.scheme == .https { return true }
        return switch allowPlainHTTP {
        case .never: false
        case .loopback: url.isLoopback
        case .always: true
        }
    }
}

extension EmbeddedSection {
    // A tailnet needs more than a handful of addresses, and an address pool counts in 64 bits.
    private static let ipv4Lengths = 8...28
    private static let ipv6Lengths = 8...120

    fileprivate func checkRules(_ problems: ProblemList) {
        if publicURL == nil, listen.address.isUnspecified {
            problems.noteRule(
                "control.embedded.publicURL",
                "is needed because control.embedded.listen (\(listen)) is a wildcard that no client can dial"
            )
        }
        for (key, listener) in [("derp", derp), ("stun", stun)] {
            guard let address = listener.address, address.address.isUnspecified, publicURL == nil else { continue }
            problems.noteRule(
                "control.embedded.\(key)",
                "\(address) is a wildcard that no client can dial: set control.embedded.publicURL"
            )
        }
        if !ipv4Prefix.address.isIPv4 || !Self.ipv4Lengths.contains(ipv4Prefix.length) {
            problems.noteRule("control.embedded.ipv4Prefix", "must be an IPv4 prefix of /8 to /28")
        }
        if ipv6Prefix.address.isIPv4 || !Self.ipv6Lengths.contains(ipv6Prefix.length) {
            problems.noteRule("control.embedded.ipv6Prefix", "must be an IPv6 prefix of /8 to /120")
        }
        if !Self.isDomain(domain) {
            problems.noteRule("control.embedded.domain", "must be a DNS name such as warren.internal")
        }
        for (key, text) in [("tailnetName", tailnetName ?? domain), ("userName", userName)]
        where text.utf8.count > 128 || text.utf8.contains(where: { $0 < 0x20 || $0 == 0x7F }) {
            problems.noteRule("control.embedded.\(key)", "must be at most 128 octets without control characters")
        }
        dns.checkRules(problems)
        if derp == .address(listen), listen.port != 0 {
            problems.noteRule("control.embedded.derp", "is the same address as control.embedded.listen")
        }
        if derp == .off, derpRegions.isEmpty {
            problems.noteRule("control.embedded.derp", "is off, but control.embedded.derpRegions names no other relay")
        }
        if Set(derpRegions.map(\.id)).count < derpRegions.count {
            problems.noteRule("control.embedded.derpRegions", "has two regions with one id")
        }
        if tls.certificate == TLSSection.automatic {
            if tls.privateKey != nil {
                problems.noteRule("control.embedded.tls.privateKey", "belongs to no certificate: that is auto")
            }
        } else if (tls.certificate == nil) != (tls.privateKey == nil) {
            problems.noteRule("control.embedded.tls", "needs both certificate and privateKey, or neither")
        }
    }

    private static func isDomain(_ text: String) -> Bool {
        text.utf8.count <= 190
            && text.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { DNSLabel($0) != nil }
    }
}
