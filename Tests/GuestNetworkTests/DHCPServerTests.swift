import GuestNetwork
import NIOCore
import NetTypes
import NetWire
import Testing

@Suite("DHCPServer (RFC 2131)")
struct DHCPServerTests {
    private func message(_ type: DHCPv4MessageType, _ change: (inout DHCPv4Message) -> Void = { _ in }) -> DHCPv4Message
    {
        var message = DHCPv4Message(
            isFromServer: false,
            transactionID: 0xCAFE,
            clientHardwareAddress: GuestSide.guest
        )
        message.type = type
        change(&message)
        return message
    }

    private func broadcast(_ message: DHCPv4Message) -> [UInt8] {
        GuestSide.frame(
            GuestSide.datagram(from: .unspecified, sourcePort: 68, to: .broadcast, port: 67, message.bytes),
            to: .broadcast
        )
    }

    private func unicast(_ message: DHCPv4Message, from source: IPv4Address = GuestSide.address) -> [UInt8] {
        GuestSide.frame(
            GuestSide.datagram(from: source, sourcePort: 68, to: GuestSide.service, port: 67, message.bytes)
        )
    }

    private func answer(
        _ link: GuestLink,
        to frame: [UInt8]
    ) throws -> (ethernet: EthernetHeader, ipv4: IPv4Header, message: DHCPv4Message) {
        let answer = try link.answer(to: frame)
        let udp = try UDPHeader(parsing: answer.payload.span)
        #expect(udp.sourcePort == 67 && udp.destinationPort == 68)
        #expect(answer.ipv4.source == GuestSide.service)
        let payload = Array(answer.payload[8...])
        return (answer.ethernet, answer.ipv4, try DHCPv4Message(parsing: payload.span))
    }

    @Test func `discover, offer, request, ack`() throws {
        let link = GuestSide.link()
        let (ethernet, ipv4, offer) = try answer(
            link,
            to: broadcast(message(.discover) { $0.options[.clientIdentifier] = [1, 9] })
        )
        #expect(offer.type == .offer && offer.isFromServer && offer.transactionID == 0xCAFE)
        #expect(offer.yourAddress == GuestSide.address && offer.clientHardwareAddress == GuestSide.guest)
        #expect(ethernet.destination == GuestSide.guest && ipv4.destination == GuestSide.address)
        #expect(offer.serverIdentifier == GuestSide.service && offer.options[.clientIdentifier] == [1, 9])
        let request = message(.request) {
            $0.options.set(.serverIdentifier, [GuestSide.service])
            $0.options.set(.requestedAddress, [offer.yourAddress])
            $0.options.set(.maximumMessageSize, UInt16(1500))
        }
        let ack = try answer(link, to: broadcast(request)).message
        #expect(ack.type == .ack && ack.yourAddress == GuestSide.address)
        #expect(ack.options.addresses(.subnetMask) == [.broadcast])
        #expect(ack.options.addresses(.routers) == [GuestSide.service])
        #expect(ack.options.addresses(.nameServers) == [GuestSide.service])
        #expect(ack.options.uint16(.interfaceMTU) == 1280)
        #expect(ack.options.text(.hostname) == "web" && ack.options.text(.domainName) == "tail1.ts.net")
        #expect(try ack.options.domainSearch() == GuestSide.addressing.searchDomains)
        // The gateway itself, then everything else through it.
        #expect(
            ack.options[.classlessRoutes] == [32, 100, 100, 100, 100, 0, 0, 0, 0] + [0, 100, 100, 100, 100]
        )
        let lease = try #require(ack.options.uint32(.leaseSeconds))
        let renewal = try #require(ack.options.uint32(.renewalSeconds))
        let rebinding = try #require(ack.options.uint32(.rebindingSeconds))
        #expect(renewal < rebinding && rebinding < lease)
    }

    @Test func `a client that cannot take unicasts is answered by broadcast`() throws {
        let (ethernet, ipv4, offer) = try answer(
            GuestSide.link(),
            to: broadcast(message(.discover) { $0.wantsBroadcast = true })
        )
        #expect(ethernet.destination == .broadcast && ipv4.destination == .broadcast && offer.wantsBroadcast)
    }

    @Test func `renewing, rebinding and rebooting clients keep their address`() throws {
        let link = GuestSide.link()
        let renewing = message(.request) { $0.clientAddress = GuestSide.address }
        let renewed = try answer(link, to: unicast(renewing))
        #expect(renewed.message.type == .ack && renewed.ipv4.destination == GuestSide.address)
        #expect(renewed.message.clientAddress == GuestSide.address)
        let rebound = GuestSide.frame(
            GuestSide.datagram(sourcePort: 68, to: .broadcast, port: 67, renewing.bytes),
            to: .broadcast
        )
        #expect(try answer(link, to: rebound).message.type == .ack)
        let rebooted = message(.request) { $0.options.set(.requestedAddress, [GuestSide.address]) }
        #expect(try answer(link, to: broadcast(rebooted)).message.type == .ack)
    }

    @Test func `when the node has another address every client is told to begin again`() throws {
        let old = IPv4Address(100, 64, 0, 77)
        let link = GuestSide.link()
        let requests = [
            unicast(message(.request) { $0.clientAddress = old }, from: old),
            broadcast(message(.request) { $0.options.set(.requestedAddress, [old]) }),
            broadcast(
                message(.request) {
                    $0.options.set(.requestedAddress, [old])
                    $0.options.set(.serverIdentifier, [GuestSide.service])
                }
            ),
        ]
        for request in requests {
            let (ethernet, ipv4, refusal) = try answer(link, to: request)
            #expect(refusal.type == .nak && refusal.yourAddress.isUnspecified)
            #expect(ethernet.destination == .broadcast && ipv4.destination == .broadcast)
            #expect(refusal.options.uint32(.leaseSeconds) == nil)
        }
    }

    @Test func `a node that has only IPv6 refuses the IPv4 address that a client remembers`() throws {
        let link = GuestLink(unixTime: { 0 })
        link.configure(GuestAddressing(ipv4: nil, ipv6: GuestSide.addressing.ipv6, hostname: "web"))
        let remembered = message(.request) { $0.options.set(.requestedAddress, [GuestSide.address]) }
        #expect(try answer(link, to: broadcast(remembered)).message.type == .nak)
    }

    @Test func `what a client asks for comes first and in its order`() throws {
        let asked: [UInt8] = [15, 119, 26, 3, 1, 200]
        let offer = try answer(
            GuestSide.link(),
            to: broadcast(message(.discover) { $0.options[.parameterRequestList] = asked })
        ).message
        let codes = offer.options.elements.map(\.code.rawValue)
        #expect(codes == [53, 54, 51, 58, 59] + [15, 119, 26, 3, 1] + [121, 6, 12])
    }

    @Test func `a message in a thousand pieces is read once and answered once`() throws {
        var pieces = message(.discover).bytes
        pieces.removeLast(pieces.count - 243)
        for _ in 0..<300 { pieces += [61, 1, 7] }
        let datagram = GuestSide.datagram(from: .unspecified, sourcePort: 68, to: .broadcast, port: 67, pieces)
        let offer = try answer(GuestSide.link(), to: GuestSide.frame(datagram, to: .broadcast)).message
        #expect(offer.options[.clientIdentifier] == [UInt8](repeating: 7, count: 300))
        pieces += [UInt8](repeating: 0, count: 1400)
        let long = GuestSide.datagram(from: .unspecified, sourcePort: 68, to: .broadcast, port: 67, pieces)
        #expect(GuestSide.link().receive(GuestSide.frame(long, to: .broadcast)).verdict == .drop(.uselessDHCP))
    }

    @Test func `a client that only wants to know gets no lease`() throws {
        let (_, ipv4, ack) = try answer(
            GuestSide.link(),
            to: unicast(message(.inform) { $0.clientAddress = GuestSide.address })
        )
        #expect(ack.type == .ack && ack.yourAddress.isUnspecified && ack.options.uint32(.leaseSeconds) == nil)
        #expect(ack.options.addresses(.nameServers) == [GuestSide.service] && ipv4.destination == GuestSide.address)
    }

    @Test func `release, decline and another server's clients need no answer`() {
        let link = GuestSide.link()
        #expect(link.receive(unicast(message(.release) { $0.clientAddress = GuestSide.address })).verdict == .consumed)
        #expect(link.receive(broadcast(message(.decline))).verdict == .consumed)
        let elsewhere = message(.request) { $0.options.set(.serverIdentifier, [GuestSide.peer]) }
        #expect(link.receive(broadcast(elsewhere)).verdict == .consumed)
        #expect(link.receive(broadcast(message(.request))).verdict == .consumed)
    }

    @Test func `answers to small clients leave out what does not fit`() throws {
        let link = GuestLink(unixTime: { 0 })
        var addressing = GuestSide.addressing
        addressing.searchDomains = (0..<30).compactMap { DNSName("domain-number-\($0).example.org") }
        link.configure(addressing)
        let small = try answer(link, to: broadcast(message(.discover)))
        #expect(small.ipv4.totalByteCount <= 576 && small.message.options[.domainSearch] == nil)
        #expect(small.message.options.text(.domainName) == "tail1.ts.net")
        let large = try answer(
            link,
            to: broadcast(message(.discover) { $0.options.set(.maximumMessageSize, UInt16(1472)) })
        )
        #expect(try large.message.options.domainSearch() == addressing.searchDomains)
    }

    @Test func `nothing is given out while the node has no address`() {
        let link = GuestSide.link(configured: false)
        #expect(link.receive(broadcast(message(.discover))).verdict == .drop(.linkDown))
        link.configure(GuestAddressing(ipv4: nil, hostname: "web"))
        #expect(link.receive(broadcast(message(.discover))).verdict == .consumed)
        #expect(
            link.receive(unicast(message(.inform) { $0.clientAddress = GuestSide.address })).verdict == .consumed
        )
    }

    @Test func `a server among the guests, BOOTP and garbage are dropped`() {
        let link = GuestSide.link()
        var server = message(.offer)
        server.isFromServer = true
        #expect(link.receive(broadcast(server)).verdict == .drop(.uselessDHCP))
        var bootp = message(.discover)
        bootp.type = nil
        #expect(link.receive(broadcast(bootp)).verdict == .drop(.uselessDHCP))
        var corrupt = broadcast(message(.discover))
        corrupt[60] ^= 1
        #expect(link.receive(corrupt).verdict == .drop(.uselessDHCP))
        #expect(link.counters[.uselessDHCP] == 3)
    }

    @Test func `a flood is answered frame by frame and remembered nowhere`() throws {
        let link = GuestSide.link()
        for transaction in 0..<5000 {
            var flood = message(.discover)
            flood.transactionID = UInt32(transaction)
            flood.clientHardwareAddress = MACAddress(rawValue: UInt64(transaction) * 2)
            #expect(link.receive(broadcast(flood)).verdict == .reply)
        }
        #expect(try answer(link, to: broadcast(message(.discover))).message.yourAddress == GuestSide.address)
    }
}
