import NetTypes
import NetWire
import Testing

@Suite("DHCPv4Message (RFC 2131)")
struct DHCPv4MessageTests {
    /// A DISCOVER as busybox udhcpc sends it.
    private func discover() throws -> [UInt8] {
        try octets("01010600 a1b2c3d4 0003 8000 00000000 00000000 00000000 00000000 525400574e4e")
            + [UInt8](repeating: 0, count: 10 + 192)
            + octets(
                "63825363 350101 3d0701525400574e4e 390202 40 370701 03 06 0c 0f 1c 2a 3c0b 75646863702030 2e312e32 ff"
            )
    }

    @Test func `a DISCOVER is read`() throws {
        let bytes = try discover()
        let message = try DHCPv4Message(parsing: bytes.span)
        #expect(message.type == .discover && message.transactionID == 0xA1B2_C3D4 && message.wantsBroadcast)
        #expect(message.secondsElapsed == 3 && !message.isFromServer)
        #expect(message.clientHardwareAddress == MACAddress("52:54:00:57:4e:4e"))
        #expect(message.options[.parameterRequestList] == [1, 3, 6, 12, 15, 28, 42])
        #expect(message.options.uint16(.maximumMessageSize) == 576)
        #expect(message.options.text(.vendorClass) == "udhcp 0.1.2")
        let encoded = message.bytes
        let again = try DHCPv4Message(parsing: encoded.span)
        #expect(again == message && encoded.count >= 300)
        torment(bytes) { _ = try? DHCPv4Message(parsing: $0) }
    }

    @Test func `an ACK with every option survives the round trip`() throws {
        var message = DHCPv4Message(
            isFromServer: true,
            transactionID: 7,
            clientHardwareAddress: MACAddress(rawValue: 0x5254_0057_4E4E)
        )
        message.type = .ack
        message.yourAddress = IPv4Address(100, 64, 0, 1)
        message.options.set(.serverIdentifier, [TailnetAddresses.serviceIPv4])
        message.options.set(.leaseSeconds, UInt32(3600))
        message.options.set(.interfaceMTU, UInt16(1280))
        message.options.set(.domainName, "tail1234.ts.net")
        let names = (0..<40).compactMap { DNSName("long-domain-number-\($0).example.org") }
        message.options.setDomainSearch(names)
        let route = try #require(IPPrefix("10.17.0.0/16"))
        message.options.setClasslessRoutes([
            (route, .unspecified), (.everyIPv4, TailnetAddresses.serviceIPv4),
        ])
        let bytes = message.bytes
        let parsed = try DHCPv4Message(parsing: bytes.span)
        #expect(parsed == message)
        #expect(parsed.serverIdentifier == TailnetAddresses.serviceIPv4)
        #expect(parsed.options[.classlessRoutes] == [16, 10, 17, 0, 0, 0, 0, 0, 100, 100, 100, 100])
        // Longer than one option can be, so it travelled in parts.
        #expect((parsed.options[.domainSearch]?.count ?? 0) > 255)
        #expect(try parsed.options.domainSearch() == names)
    }

    @Test func `overloaded fields are read`() throws {
        var bytes = try discover()
        bytes.replaceSubrange(240..., with: [52, 1, 3, 53, 1, 1, 255])
        bytes.replaceSubrange(108..<116, with: [12, 4, 109, 97, 105, 110, 255, 9])
        bytes.replaceSubrange(44..<50, with: [15, 3, 108, 97, 110, 255])
        let message = try DHCPv4Message(parsing: bytes.span)
        #expect(message.options.text(.hostname) == "main" && message.options.text(.domainName) == "lan")
    }

    @Test func `what is not DHCP over Ethernet is refused`() throws {
        func refusal(_ change: (inout [UInt8]) -> Void) throws -> WireError? {
            var bytes = try discover()
            change(&bytes)
            do throws(WireError) {
                _ = try DHCPv4Message(parsing: bytes.span)
                return nil
            } catch {
                return error
            }
        }
        #expect(try refusal { $0[236] = 0 } == .badMagic)
        #expect(try refusal { $0[2] = 16 } == .unsupported)
        #expect(try refusal { $0.replaceSubrange(240..., with: [53, 9, 1]) } == .truncated)
    }
}
