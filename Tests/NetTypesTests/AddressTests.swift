import NetTypes
import Testing

@Suite("Addresses and prefixes")
struct AddressTests {
    @Test(arguments: [
        ("::", "::"), ("::1", "::1"), ("1::", "1::"), ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"),
        ("fd7a:115c:a1e0::53", "fd7a:115c:a1e0::53"), ("::ffff:1.2.3.4", "::ffff:1.2.3.4"),
        ("2001:DB8::A", "2001:db8::a"), ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"), ("0:1:0:1:0:1:0:1", "0:1:0:1:0:1:0:1"),
    ])
    func `IPv6 text is read and written canonically`(text: String, canonical: String) {
        #expect(IPv6Address(text)?.description == canonical)
    }

    @Test(arguments: [
        "", ":", ":::", "1::2::3", "12345::", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "::1.2.3", "fe80::1%eth0", "g::",
        "1.2.3.4", "::+1",
    ])
    func `bad IPv6 text is refused`(text: String) {
        #expect(IPv6Address(text) == nil)
    }

    @Test(arguments: ["", "1.2.3", "1.2.3.4.5", "256.0.0.1", "01.2.3.4", "1.2.3.+4", " 1.2.3.4", "1..2.3"])
    func `bad IPv4 text is refused`(text: String) {
        #expect(IPv4Address(text) == nil)
    }

    @Test func `prefixes contain what they cover and nothing across families`() throws {
        let tailnet = try #require(IPPrefix("100.64.0.0/10"))
        let all = try #require(IPPrefix("::/0"))
        #expect(tailnet.contains(IPAddress.v4(IPv4Address(100, 127, 255, 255))))
        #expect(!tailnet.contains(IPAddress.v4(IPv4Address(100, 128, 0, 0))))
        #expect(!all.contains(IPAddress.v4(.loopback)))
        #expect(all.contains(IPAddress.v6(.loopback)))
        #expect(IPPrefix("fd7a:115c:a1e0:ab12:4843:cd96:6200::/104")?.masked.description.hasSuffix("/104") == true)
        #expect(IPPrefix("10.1.2.3/8")?.masked == IPPrefix("10.0.0.0/8"))
        #expect(IPPrefix("10.0.0.0/33") == nil)
        #expect(IPPrefix("10.0.0.0") == nil)
    }

    @Test(arguments: ["1.2.3.4:5", "[::1]:65535", "[fe80::1]:1"])
    func `an address with port survives the round trip`(text: String) {
        #expect(AddressPort(text)?.description == text)
    }

    @Test(arguments: ["1.2.3.4", "::1:5", "[::1]", "1.2.3.4:65536", "host:1", "[1.2.3.4]:5", "1.2.3.4:-1"])
    func `a bad address with port is refused`(text: String) {
        #expect(AddressPort(text) == nil)
    }

    @Test func `a MAC address survives text and bytes`() throws {
        let address = try #require(MACAddress("52:54:00:12:ab:ff"))
        #expect(address.description == "52:54:00:12:ab:ff")
        let bytes: [UInt8] = [0x52, 0x54, 0, 0x12, 0xAB, 0xFF]
        #expect(MACAddress(bytes.span, at: 0) == address)
        #expect(MACAddress.broadcast.isMulticast)
        #expect(MACAddress("52:54:00:12:ab") == nil)
    }

    @Test func `the checksum of RFC 1071 section 3`() {
        let bytes: [UInt8] = [0x00, 0x01, 0xF2, 0x03, 0xF4, 0xF5, 0xF6, 0xF7]
        #expect(InternetChecksum.of(bytes.span) == ~0xDDF2)
        #expect(InternetChecksum.of((bytes + [0x80]).span) == ~0x5DF3)
    }
}
