import GuestNetwork
import NetTypes
import NetWire
import Testing

@Suite("DNSZone and MagicDNSResponder")
struct DNSZoneTests {
    private static let upstream = DNSUpstream.plain(AddressPort(.v4(IPv4Address(192, 0, 2, 53)), port: 53))

    private static func name(_ text: String) throws -> DNSName { try #require(DNSName(text)) }
    private static func address(_ text: String) throws -> IPAddress { try #require(IPAddress(text)) }

    private static func zone(
        ownAddresses: [String] = ["100.64.0.1", "fd7a:115c:a1e0::1"],
        isProxied: Bool = true,
        servesBothFamilies: Bool = false,
        acceptsDNS: Bool = true
    ) throws -> DNSZone {
        DNSZone(
            own: DNSZone.Node(name: try name("web.tail1.ts.net"), addresses: try ownAddresses.map(address)),
            peers: [
                DNSZone.Node(
                    name: try name("DB.tail1.ts.net"),
                    addresses: [try address("100.64.0.2"), try address("fd7a:115c:a1e0::2")]
                ),
                DNSZone.Node(name: try name("guest.other.ts.net"), addresses: [try address("100.64.0.9")]),
            ],
            isProxied: isProxied,
            servesBothFamilies: servesBothFamilies,
            extraRecords: [(try name("wiki.example"), try address("100.64.0.2"))],
            routes: [try name("corp.example"): [Self.upstream], try name("void.example"): []],
            acceptsDNS: acceptsDNS
        )
    }

    private func ask(_ zone: DNSZone, _ text: String, _ type: DNSType = .a) throws -> (DNSResponseCode, [String])? {
        var flags = DNSFlags(rawValue: 0)
        flags.recursionDesired = true
        let query = DNSMessage(
            identifier: 7,
            flags: flags,
            questions: [DNSQuestion(name: try Self.name(text), type: type)]
        ).bytes
        switch MagicDNSResponder(zone: zone).answer(query.span, unixTime: { 1 }) {
        case .resolve: return nil
        case .reply(let bytes):
            let message = try DNSMessage(parsing: bytes.span)
            let answers = message.answers.map { record in
                switch record.content {
                case .ipv4(let address): address.description
                case .ipv6(let address): address.description
                case .pointer(let name): name.description
                default: "?"
                }
            }
            return (message.flags.responseCode, answers)
        }
    }

    @Test func `nodes are found by full and short name, and by address`() throws {
        let zone = try Self.zone()
        #expect(try ask(zone, "db")?.1 == ["100.64.0.2"])
        #expect(try ask(zone, "Db.Tail1.ts.net")?.1 == ["100.64.0.2"])
        #expect(try ask(zone, "web")?.1 == ["100.64.0.1"])
        #expect(try ask(zone, "2.0.64.100.in-addr.arpa", .ptr)?.1 == ["db.tail1.ts.net."])
        #expect(try ask(zone, "guest.other.ts.net")?.1 == ["100.64.0.9"])
        #expect(try ask(zone, "guest")?.0 == .serverFailure)
    }

    @Test func `a dual-stack node has no AAAA unless the tailnet wants it`() throws {
        let plain = try ask(Self.zone(), "db", .aaaa)
        #expect(plain?.0 == .success && plain?.1 == [])
        #expect(try ask(Self.zone(servesBothFamilies: true), "db", .aaaa)?.1 == ["fd7a:115c:a1e0::2"])
        #expect(try ask(Self.zone(ownAddresses: ["fd7a:115c:a1e0::1"]), "db", .aaaa)?.1 == ["fd7a:115c:a1e0::2"])
        #expect(try ask(Self.zone(ownAddresses: ["fd7a:115c:a1e0::1"]), "db", .a)?.1 == [])
    }

    @Test func `without MagicDNS only full names and addresses are known`() throws {
        let zone = try Self.zone(isProxied: false)
        #expect(try ask(zone, "db.tail1.ts.net")?.1 == ["100.64.0.2"])
        #expect(try ask(zone, "db")?.0 == .serverFailure)
        #expect(try ask(zone, "nobody.tail1.ts.net")?.0 == .serverFailure)
        #expect(try ask(zone, "2.0.64.100.in-addr.arpa", .ptr)?.1 == ["db.tail1.ts.net."])
        #expect(try ask(zone, "77.0.64.100.in-addr.arpa", .ptr)?.0 == .serverFailure)
    }

    @Test func `zones and routes of the tailnet hold only for who accepts its DNS`() throws {
        let zone = try Self.zone()
        #expect(try ask(zone, "x.void.example")?.0 == .nameError)
        #expect(try ask(zone, "x.corp.example") == nil)
        #expect(try ask(zone, "77.0.64.100.in-addr.arpa", .ptr)?.0 == .nameError)
        let alone = try Self.zone(acceptsDNS: false)
        #expect(try ask(alone, "x.corp.example")?.0 == .serverFailure)
        #expect(try ask(alone, "x.void.example")?.0 == .serverFailure)
        #expect(try ask(alone, "wiki.example")?.1 == ["100.64.0.2"])
    }

    @Test func `an extra record that no route covers is a zone of its own`() throws {
        let zone = try Self.zone()
        #expect(try ask(zone, "wiki.example")?.1 == ["100.64.0.2"])
        #expect(try ask(zone, "sub.wiki.example")?.0 == .nameError)
        #expect(try ask(zone, "2.0.64.100.in-addr.arpa", .ptr)?.1 == ["db.tail1.ts.net."])
    }

    @Test(arguments: [
        ("192-168-1-2-via-7", "fd7a:115c:a1e0:b1a:0:7:c0a8:102"),
        ("10-0-0-1-via-0xff.a.ts.net", "fd7a:115c:a1e0:b1a:0:ff:a00:1"),
        ("10-0-0-1-VIA-0b101.x.tailscale.net", "fd7a:115c:a1e0:b1a:0:5:a00:1"),
        ("10-0-0-1-via-0o17", "fd7a:115c:a1e0:b1a:0:f:a00:1"), ("10-0-0-1-via-017", "fd7a:115c:a1e0:b1a:0:f:a00:1"),
        ("10-0-0-1-via-4294967295", "fd7a:115c:a1e0:b1a:ffff:ffff:a00:1"),
    ])
    func `4via6 names stand for the addresses that are written in them`(name: String, address: String) throws {
        #expect(try ask(DNSZone(), name, .aaaa)?.1 == [address])
        #expect(try ask(DNSZone(), name, .any)?.1 == [address])
        let ipv4 = try ask(DNSZone(), name, .a)
        #expect(ipv4?.0 == .success && ipv4?.1 == [])
    }

    @Test(arguments: [
        "10-0-0-via-1", "10-0-0-256-via-1", "10-0-0-1-via-", "10-0-0-1-via-+1", "10-0-0-1-via-0x", "10-0-0-1-via-08",
        "10-0-0-1-via-4294967296", "10-0-0-1-via-1.example.com", "10-0-0-1-via-1.ts.net", "via-1",
        "x.10-0-0-1-via-1.ts.net",
    ])
    func `what only resembles a 4via6 name is none`(name: String) throws {
        #expect(try ask(DNSZone(), name, .aaaa)?.0 == .serverFailure)
    }

    @Test func `resolvers are read as control writes them`() throws {
        #expect(DNSUpstream("1.1.1.1") == .plain(AddressPort(.v4(IPv4Address(1, 1, 1, 1)), port: 53)))
        let peer = IPAddress.v6(IPv6Address(high: 0xFD7A_115C_A1E0_0000, low: 2))
        #expect(DNSUpstream("[fd7a:115c:a1e0::2]:5353") == .plain(AddressPort(peer, port: 5353)))
        #expect(DNSUpstream("fd7a:115c:a1e0::2") == .plain(AddressPort(peer, port: 53)))
        #expect(
            DNSUpstream("http://[fd7a:115c:a1e0::2]:80/dns-query")
                == .peer(AddressPort(peer, port: 80), path: "/dns-query")
        )
        #expect(DNSUpstream("http://[fd7a:115c:a1e0::2]") == .peer(AddressPort(peer, port: 80), path: "/"))
        let named = try #require(HTTPSResolver("https://dns.example/dns-query", bootstrap: ["192.0.2.7", "x"]))
        #expect(DNSUpstream(named.text, bootstrap: ["192.0.2.7"]) == .https(named))
        #expect(named.host == "dns.example" && named.path == "/dns-query")
        #expect(named.targets.map { "\($0)" } == ["192.0.2.7:443"])
        #expect(HTTPSResolver("https://dns.google/dns-query")?.targets.first?.address == IPAddress("8.8.8.8"))
        #expect(HTTPSResolver("https://dns.example/")?.targets == [])
        #expect(HTTPSResolver("https://[2001:db8::1]:8443/q")?.targets.map { "\($0)" } == ["[2001:db8::1]:8443"])
        for text in ["https://", "https://a:b/", "https://a:0/", "https://u@a/", "https://a/\r\nX: y", "http://a/"] {
            #expect(HTTPSResolver(text) == nil, "\(text)")
        }
        for text in [
            "tls://1.1.1.1", "", "http://dns.example/dns-query", "http://1.1.1.1/a b", "http://1.1.1.1/\r\nX: y",
        ] {
            #expect(DNSUpstream(text) == .unusable(text))
        }
    }

    @Test func `garbage is answered with FORMERR or not at all, and never traps`() throws {
        let zone = try Self.zone()
        let responder = MagicDNSResponder(zone: zone)
        var generator = SeededGenerator(seed: 11)
        for _ in 0..<3000 {
            let garbage = generator.bytes(upTo: 100)
            guard case .reply(let bytes) = responder.answer(garbage.span, unixTime: { 1 }) else { continue }
            let message = try DNSMessage(parsing: bytes.span)
            #expect(message.flags.isResponse)
        }
        // A name that points to itself.
        let loop: [UInt8] = [0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xC0, 12, 0, 1, 0, 1]
        guard case .reply(let bytes) = responder.answer(loop.span, unixTime: { 1 }) else {
            Issue.record("a loop was forwarded")
            return
        }
        #expect(try DNSMessage(parsing: bytes.span).flags.responseCode == .formatError)
    }
}
