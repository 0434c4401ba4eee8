import NetTypes
import NetWire
import Testing

@Suite("DomainNameList (RFC 3397, RFC 8415)")
struct DomainNameListTests {
    @Test func `the RFC's own example is compressed as it is there`() throws {
        let names = ["eng.apple.com", "marketing.apple.com"].compactMap { DNSName($0) }
        let bytes = DomainNameList.compressed(names)
        #expect(
            bytes == [3] + Array("eng".utf8) + [5] + Array("apple".utf8) + [3] + Array("com".utf8) + [0]
                + [9] + Array("marketing".utf8) + [0xC0, 4]
        )
        #expect(try DomainNameList.parse(bytes.span, allowsPointers: true) == names)
    }

    @Test func `a name that was said is only pointed at`() throws {
        let names = ["a.example", "A.Example", "example"].compactMap { DNSName($0) }
        let bytes = DomainNameList.compressed(names)
        #expect(Array(bytes.suffix(4)) == [0xC0, 0, 0xC0, 2])
        #expect(try DomainNameList.parse(bytes.span, allowsPointers: true) == names)
    }

    @Test func `in DHCPv6 and router advertisements pointers are refused and padding ends the list`() throws {
        let names = ["eng.apple.com", "marketing.apple.com"].compactMap { DNSName($0) }
        let bytes = DomainNameList.uncompressed(names)
        let padded = bytes + [0, 0, 0, 0]
        #expect(try DomainNameList.parse(padded.span, allowsPointers: false) == names)
        let compressed = DomainNameList.compressed(names)
        #expect(throws: WireError.malformed) { try DomainNameList.parse(compressed.span, allowsPointers: false) }
        torment(bytes) { _ = try? DomainNameList.parse($0, allowsPointers: false) }
        torment(compressed) { _ = try? DomainNameList.parse($0, allowsPointers: true) }
    }

    @Test func `long lists survive, also beyond what a pointer reaches`() throws {
        let names = (0..<1500).compactMap { DNSName("label-number-\($0).and-another-\($0 % 7).example.org") }
        let bytes = DomainNameList.compressed(names)
        #expect(bytes.count > 0x4000)
        #expect(try DomainNameList.parse(bytes.span, allowsPointers: true) == names)
    }
}
