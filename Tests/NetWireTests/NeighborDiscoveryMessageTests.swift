import NetTypes
import NetWire
import Testing

@Suite("NeighborDiscoveryMessage (RFC 4861)")
struct NeighborDiscoveryMessageTests {
    private let router = IPv6Address(linkLocalOf: MACAddress(rawValue: 0x0257_5200_0001))
    private let host = IPv6Address(linkLocalOf: MACAddress(rawValue: 0x5254_0057_524E))
    private let station = MACAddress(rawValue: 0x0257_5200_0001)

    private func ipv6(
        _ byteCount: Int,
        from source: IPv6Address,
        to destination: IPv6Address,
        hopLimit: UInt8 = 255
    ) -> IPv6Header {
        IPv6Header(
            nextHeader: .icmpv6,
            source: source,
            destination: destination,
            payloadByteCount: byteCount,
            hopLimit: hopLimit
        )
    }

    private func encoded(_ message: NeighborDiscoveryMessage, in header: (Int) -> IPv6Header) -> (IPv6Header, [UInt8]) {
        let payload = message.payload
        let header = header(8 + payload.count)
        let icmp = message.header
        return (header, stored(8 + payload.count) { icmp.store(into: &$0, at: 0, payload: payload.span, in: header) })
    }

    /// Makes the checksum right for octets that were made by hand.
    private func sealed(_ bytes: [UInt8], in header: IPv6Header) -> [UInt8] {
        let icmp = ICMPv6Message(
            kind: .init(rawValue: bytes[0]),
            code: bytes[1],
            restOfHeader: bytes.span.bigEndian(at: 4)
        )
        let payload = Array(bytes[8...])
        return stored(bytes.count) { icmp.store(into: &$0, at: 0, payload: payload.span, in: header) }
    }

    private func refusal(_ bytes: [UInt8], in header: IPv6Header) -> WireError? {
        do throws(WireError) {
            _ = try NeighborDiscoveryMessage(parsing: bytes.span, in: header)
            return nil
        } catch {
            return error
        }
    }

    @Test func `the addresses that belong to the protocol are made as the RFCs say`() throws {
        #expect(router.description == "fe80::57:52ff:fe00:1")
        #expect(host.description == "fe80::5054:ff:fe57:524e")
        let address = try #require(IPv6Address("fd7a:115c:a1e0::1234:5678"))
        #expect(address.solicitedNode.description == "ff02::1:ff34:5678")
        #expect(MACAddress(multicast: address.solicitedNode).description == "33:33:ff:34:56:78")
    }

    @Test func `a router advertisement with every option survives, and is octet for octet as the RFCs draw it`() throws
    {
        let prefix = try #require(IPPrefix("2001:db8:1::/64")), route = try #require(IPPrefix("fd7a:115c:a1e0::/48"))
        let long = try #require(IPPrefix("fd7a:115c:a1e0::53/128"))
        let names = ["tail1.ts.net", "corp.example"].compactMap { DNSName($0) }
        let message = NeighborDiscoveryMessage.routerAdvertisement(
            RouterAdvertisement(
                hopLimit: 64,
                isManaged: true,
                hasOtherConfiguration: true,
                preference: .high,
                routerLifetimeSeconds: 1800,
                reachableMilliseconds: 30_000,
                retransmitMilliseconds: 1000,
                options: [
                    .sourceLinkLayerAddress(station), .mtu(1280),
                    .prefixInformation(
                        .init(
                            prefix: prefix,
                            isOnLink: true,
                            isAutonomous: false,
                            validSeconds: .max,
                            preferredSeconds: 60
                        )
                    ),
                    .routeInformation(.init(prefix: route, preference: .low, lifetimeSeconds: 600)),
                    .routeInformation(.init(prefix: long, lifetimeSeconds: 1)),
                    .routeInformation(.init(prefix: .everyIPv6, lifetimeSeconds: 0)),
                    .nameServers([TailnetAddresses.serviceIPv6, router], lifetimeSeconds: 1800),
                    .searchDomains(names, lifetimeSeconds: 1800), .unknown(type: 200, value: [1, 2, 3, 4, 5, 6]),
                ]
            )
        )
        let (header, bytes) = encoded(message) { ipv6($0, from: router, to: .allNodes) }
        #expect(try NeighborDiscoveryMessage(parsing: bytes.span, in: header) == message)
        let expected = try octets(
            """
            40 c8 0708 00007530 000003e8
            0101 025752000001
            0501 0000 00000500
            0304 40 80 ffffffff 0000003c 00000000 20010db8000100000000000000000000
            1802 30 18 00000258 fd7a115ca1e00000
            1803 80 00 00000001 fd7a115ca1e000000000000000000053
            1801 00 00 00000000
            1905 0000 00000708 fd7a115ca1e000000000000000000053 fe80000000000000005752fffe000001
            1f05 0000 00000708 057461696c31 027473 036e6574 00 04636f7270 076578616d706c65 00 000000 00
            c801 010203040506
            """
        )
        #expect(bytes[0] == 134 && bytes[1] == 0)
        #expect(Array(bytes[4...]) == expected)
        torment(bytes) { _ = try? NeighborDiscoveryMessage(parsing: $0, in: header) }
        // With the checksum made right, what lies behind it is read.
        var generator = SeededGenerator(seed: 9)
        for _ in 0..<2000 {
            var mutated = bytes
            for _ in 0..<4 {
                mutated[Int.random(in: 16..<bytes.count, using: &generator)] = .random(in: 0...255, using: &generator)
            }
            mutated = sealed(Array(mutated[..<Int.random(in: 8...bytes.count, using: &generator)]), in: header)
            _ = try? NeighborDiscoveryMessage(parsing: mutated.span, in: header)
        }
    }

    @Test func `solicitations and neighbor advertisements survive`() throws {
        let target = try #require(IPv6Address("fd7a:115c:a1e0::1"))
        let cases: [(NeighborDiscoveryMessage, IPv6Address, IPv6Address)] = [
            (.routerSolicitation(options: []), .unspecified, .allRouters),
            (.routerSolicitation(options: [.sourceLinkLayerAddress(station)]), host, .allRouters),
            (.neighborSolicitation(target: target, options: []), .unspecified, target.solicitedNode),
            (.neighborSolicitation(target: target, options: [.sourceLinkLayerAddress(station)]), host, target),
            (
                .neighborAdvertisement(
                    .init(
                        target: target,
                        isRouter: true,
                        isSolicited: true,
                        overrides: false,
                        options: [.targetLinkLayerAddress(station)]
                    )
                ), router, host
            ),
            (
                .neighborAdvertisement(.init(target: target, isRouter: false, isSolicited: false, overrides: true)),
                router, .allNodes
            ),
        ]
        for (message, source, destination) in cases {
            let (header, bytes) = encoded(message) { ipv6($0, from: source, to: destination) }
            #expect(try NeighborDiscoveryMessage(parsing: bytes.span, in: header) == message)
            torment(bytes, seed: UInt64(bytes.count)) { _ = try? NeighborDiscoveryMessage(parsing: $0, in: header) }
        }
    }

    @Test func `what the RFC wants discarded is refused`() throws {
        let target = try #require(IPv6Address("fd7a:115c:a1e0::1"))
        let solicitation = NeighborDiscoveryMessage.neighborSolicitation(
            target: target,
            options: [.sourceLinkLayerAddress(station)]
        )
        func refusal(
            _ message: NeighborDiscoveryMessage,
            from source: IPv6Address,
            to destination: IPv6Address,
            hopLimit: UInt8 = 255
        ) -> WireError? {
            let (header, bytes) = encoded(message) {
                ipv6($0, from: source, to: destination, hopLimit: hopLimit)
            }
            return self.refusal(bytes, in: header)
        }
        #expect(refusal(solicitation, from: host, to: target) == nil)
        #expect(refusal(solicitation, from: host, to: target, hopLimit: 254) == .malformed)
        // A probe tells no hardware address and goes to the group of its target.
        #expect(refusal(solicitation, from: .unspecified, to: target.solicitedNode) == .malformed)
        let probe = NeighborDiscoveryMessage.neighborSolicitation(target: target, options: [])
        #expect(refusal(probe, from: .unspecified, to: target) == .malformed)
        #expect(
            refusal(.neighborSolicitation(target: .allNodes, options: []), from: host, to: .allNodes) == .malformed
        )
        #expect(
            refusal(
                .routerSolicitation(options: [.sourceLinkLayerAddress(station)]),
                from: .unspecified,
                to: .allRouters
            ) == .malformed
        )
        let advertisement = NeighborDiscoveryMessage.routerAdvertisement(RouterAdvertisement(routerLifetimeSeconds: 1))
        #expect(refusal(advertisement, from: target, to: .allNodes) == .malformed)
        let toAll = NeighborDiscoveryMessage.neighborAdvertisement(
            .init(target: target, isRouter: false, isSolicited: true, overrides: true)
        )
        #expect(refusal(toAll, from: host, to: .allNodes) == .malformed)
    }

    @Test func `options of impossible lengths are refused`() throws {
        let header = ipv6(40, from: router, to: .allNodes)
        let start: [UInt8] = [134, 0, 0, 0] + [UInt8](repeating: 0, count: 12)
        let cases: [(String, WireError)] = [
            ("0100 000000000000", .badLength), ("0102 000000000000", .truncated),
            ("0102 000000000000 0000000000000000", .badLength), ("0501", .truncated), ("05", .truncated),
            ("0301 000000000000", .badLength), ("1901 0000 00000001", .badLength),
            ("1902 0000 00000001 0000000000000000", .badLength), ("1f01 0000 00000001", .badLength),
            ("1f02 0000 00000001 c000000000000000", .malformed), ("1801 4000 00000000", .badLength),
            ("1803 8100 00000000 00000000000000000000000000000000", .malformed),
            ("0304 8100 00000000 00000000 00000000 00000000000000000000000000000000", .malformed),
        ]
        for (option, error) in cases {
            let bytes = sealed(start + (try octets(option)), in: header)
            #expect(refusal(bytes, in: header) == error, "\(option)")
        }
    }
}
