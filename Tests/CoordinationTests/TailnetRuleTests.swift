import Coordination
import NetTypes
import Tailcfg
import Testing
import WarrenCrypto

@Suite("Names, addresses and auth keys")
struct TailnetRuleTests {
    @Test(arguments: [
        ("Joe's Mac mini", "joes-mac-mini"), ("mail.server", "mail-server"), ("我的电脑", "node"), ("", "node"),
        ("web.local", "web"), ("web.localdomain", "web"), ("WEB.LAN", "web"), ("--a--", "a"), ("a_b@c d", "a-b-c-d"),
        (String(repeating: "x", count: 80), String(repeating: "x", count: 63)), (".hidden.", "hidden"), ("...", "node"),
        ("Über", "ber"),
    ])
    func `makes a label of a host name`(_ hostname: String, _ label: String) {
        #expect(GivenName.label(for: hostname) == label)
    }

    @Test func `takes the first free number on a collision`() {
        let taken: Set = ["web", "web-1"]
        #expect(GivenName.unique("web", isTaken: taken.contains) == "web-2")
        #expect(GivenName.unique("db", isTaken: taken.contains) == "db")
        let long = String(repeating: "y", count: 63)
        #expect(GivenName.unique(long) { $0 == long } == String(repeating: "y", count: 61) + "-1")
    }

    @Test func `hands out addresses in order and spares what is reserved`() throws {
        var pool = try AddressPool(ipv4Range: TailnetAddresses.ipv4Range, ipv6Range: TailnetAddresses.ipv6Range)
        let first = try pool.allocate(now: ManualTime.start)
        #expect(first.ipv4.description == "100.64.0.1")
        let second = try pool.allocate(now: ManualTime.start)
        #expect(second.ipv4.description == "100.64.0.2")
        #expect(second.ipv6.description == "fd7a:115c:a1e0::2")
        for start: UInt32 in [0x53, 0x24_0000, 0x24_6400, 0x33_5C00] {
            var pool = try AddressPool(
                ipv4Range: TailnetAddresses.ipv4Range,
                ipv6Range: TailnetAddresses.ipv6Range,
                next: start
            )
            let pair = try pool.allocate(now: ManualTime.start)
            #expect(TailnetAddresses.contains(.v4(pair.ipv4)))
            #expect(!TailnetAddresses.isService(.v6(pair.ipv6)) && !TailnetAddresses.isService(.v4(pair.ipv4)))
            #expect(pair.ipv4.rawValue >> 8 != 0x64_6400 && pair.ipv4.rawValue >> 8 != 0x64_6464)
        }
    }

    @Test func `lets a freed address rest for a day, and tells when nothing is left`() throws {
        let range = try #require(IPPrefix("100.64.0.0/30"))
        var pool = try AddressPool(ipv4Range: range, ipv6Range: TailnetAddresses.ipv6Range)
        let first = try pool.allocate(now: ManualTime.start)
        _ = try pool.allocate(now: ManualTime.start)
        #expect(throws: CoordinationError.addressesExhausted) { try pool.allocate(now: ManualTime.start) }
        pool.release(first.ipv4, now: ManualTime.start)
        #expect(throws: CoordinationError.addressesExhausted) { try pool.allocate(now: ManualTime.start) }
        let again = try pool.allocate(now: ManualTime.start.adding(seconds: 86_400))
        #expect(again.ipv4 == first.ipv4)
    }

    @Test(arguments: ["10.0.0.0/8", "100.64.0.0/9", "fd7a:115c:a1e0::/48"])
    func `refuses ranges that clients take for foreign`(_ text: String) throws {
        let range = try #require(IPPrefix(text))
        #expect(throws: CoordinationError.invalidAddressRange(range.description)) {
            try AddressPool(ipv4Range: range, ipv6Range: TailnetAddresses.ipv6Range)
        }
    }

    @Test func `makes keys that name their id and never hold --TL`() {
        let (id, text) = AuthKeyText.make()
        #expect(text.hasPrefix("tskey-auth-\(id)-"))
        #expect(AuthKeyText.id(in: text) == id)
        #expect(!text.contains("--"))
        for bad in ["", "tskey-auth-", "tskey-auth-a", "tskey-auth--b", "tskey-client-a-b", "tskey-auth-a-b-c"] {
            #expect(AuthKeyText.id(in: bad) == nil, "\(bad)")
        }
    }
}
