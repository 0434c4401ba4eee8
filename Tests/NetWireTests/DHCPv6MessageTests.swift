import NetTypes
import NetWire
import Testing

@Suite("DHCPv6Message (RFC 8415)")
struct DHCPv6MessageTests {
    @Test func `a Solicit as systemd-networkd sends it is read`() throws {
        let bytes = try octets(
            """
            01 9b4a7c
            000e 0000
            0003 000c 524e5700 00000000 00000000
            0027 0005 01 03776562
            0006 000a 0017 0018 0038 001f 00f2
            0001 000e 0002 0000ab11 1d2c3b4a59687786
            0008 0002 000a
            """
        )
        let message = try DHCPv6Message(parsing: bytes.span)
        #expect(message.kind == .solicit && message.transactionID == 0x9B4A7C)
        #expect(message.options.contains(.rapidCommit) && message.options.contains(.elapsedTime(10)))
        #expect(message.requestedOptions == [23, 24, 56, 31, 242])
        #expect(message.clientIdentifier == (try octets("0002 0000ab11 1d2c3b4a59687786")))
        #expect(message.serverIdentifier == nil)
        #expect(message.options.contains(.nonTemporaryAddresses(.init(identifier: 0x524E_5700))))
        let name = try #require(DNSName("web"))
        #expect(message.options.contains(.clientFQDN(.init(flags: 1, name: name, isComplete: false))))
        #expect(message.bytes == bytes)
        torment(bytes) { _ = try? DHCPv6Message(parsing: $0) }
    }

    @Test func `a Reply with every option survives, and is octet for octet as the RFCs draw it`() throws {
        let address = try #require(IPv6Address("fd7a:115c:a1e0::1"))
        let message = DHCPv6Message(
            .reply,
            transactionID: 0xABCDEF,
            options: [
                .clientIdentifier([0, 3, 0, 1, 2]), .serverIdentifier([0, 3, 0, 1, 3]), .rapidCommit, .preference(255),
                .nonTemporaryAddresses(
                    DHCPv6Association(
                        identifier: 7,
                        renewalSeconds: 100,
                        rebindingSeconds: 200,
                        options: [
                            .address(
                                DHCPv6Address(
                                    address: address,
                                    preferredSeconds: 300,
                                    validSeconds: 400,
                                    options: [.statusCode(.success, message: "ok")]
                                )
                            )
                        ]
                    )
                ),
                .delegatedPrefixes(
                    DHCPv6Association(identifier: 8, options: [.statusCode(.noPrefixes, message: "")])
                ),
                .nameServers([TailnetAddresses.serviceIPv6]),
                .domainSearch(["tail1.ts.net"].compactMap { DNSName($0) }),
                .clientFQDN(DHCPv6ClientName(flags: DHCPv6ClientName.noUpdates, name: try #require(DNSName("a.b")))),
                .unknown(code: 31, value: [9]),
            ]
        )
        let expected = try octets(
            """
            07 abcdef
            0001 0005 0003000102 0002 0005 0003000103 000e 0000 0007 0001 ff
            0003 0030 00000007 00000064 000000c8
                0005 0020 fd7a115ca1e000000000000000000001 0000012c 00000190 000d 0004 0000 6f6b
            0019 0012 00000008 00000000 00000000 000d 0002 0006
            0017 0010 fd7a115ca1e000000000000000000053
            0018 000e 057461696c31 027473 036e6574 00
            0027 0006 04 0161 0162 00
            001f 0001 09
            """
        )
        #expect(message.bytes == expected)
        #expect(try DHCPv6Message(parsing: expected.span) == message)
        torment(expected) { _ = try? DHCPv6Message(parsing: $0) }
    }

    @Test func `options of impossible lengths, nesting without end and relayed messages are refused`() throws {
        func refusal(_ text: String) throws -> WireError? {
            let bytes = try octets(text)
            do throws(WireError) {
                _ = try DHCPv6Message(parsing: bytes.span)
                return nil
            } catch {
                return error
            }
        }
        let cases: [(String, WireError)] = [
            ("01 0000", .truncated), ("01 000000 0008", .truncated), ("01 000000 0008 0003 0000", .truncated),
            ("01 000000 0008 0003 000000", .badLength), ("01 000000 0001 0002 0000", .badLength),
            ("01 000000 0006 0001 00", .badLength), ("01 000000 0007 0000", .badLength),
            ("01 000000 000d 0001 00", .badLength), ("01 000000 000e 0001 00", .badLength),
            ("01 000000 0017 0011 0000000000000000000000000000000000", .badLength),
            ("01 000000 0003 000b 0000000000000000000000", .badLength), ("01 000000 0027 0000", .badLength),
            ("01 000000 0018 0002 c000", .malformed), ("01 000000 0027 0004 00 000000", .malformed),
            ("0c 000000 0000000000000000000000000000000000000000000000000000000000000000", .unsupported),
        ]
        for (text, error) in cases { #expect(try refusal(text) == error, "\(text)") }
        var nested: [UInt8] = []
        for _ in 0..<5000 {
            let count = UInt16(truncatingIfNeeded: nested.count + 12)
            guard nested.count < 65_000 else { break }
            nested = [0, 3, UInt8(count >> 8), UInt8(count & 255)] + [UInt8](repeating: 0, count: 12) + nested
        }
        let bytes = [1, 0, 0, 0] + nested
        #expect(throws: WireError.malformed) { try DHCPv6Message(parsing: bytes.span) }
    }
}
