import FoundationEssentials
import Logging
import NIOEmbedded
import NetTypes
import Tailcfg
import Tailnet
import WarrenCrypto
import WarrenModel

/// A tailnet of many as its control server describes it, and nodes that are told of it.
struct BigTailnet {
    static let now = ControlTime(seconds: 1_800_000_000)
    let peers: [Node]
    let own: Node

    /// So many peers, each with what a real one says about itself.
    init(peerCount: Int) {
        var own = Node(id: 1)
        own.name = "me.tail1234.ts.net."
        own.key = NodePrivateKey().publicKey
        own.machineAuthorized = true
        own.addresses = Self.addresses(1)
        self.own = own
        peers = (0..<peerCount).map { Self.peer($0 + 2) }
    }

    /// The first message of a map stream, as JSON.
    func firstMessage() -> Data {
        var response = MapResponse()
        response.node = own
        response.peers = peers
        response.packetFilter = [FilterRule(sourceIPs: ["*"], destinations: [FilterDestination(ip: "*")])]
        response.dnsConfig = DNSConfig()
        response.dnsConfig?.proxied = true
        response.domain = "example.com"
        do {
            return try JSONEncoder().encode(response)
        } catch {
            preconditionFailure("the map could not be written: \(error)")
        }
    }

    /// A node's data plane without sockets.
    static func plane(on loop: EmbeddedEventLoop) -> DetachedDataPlane {
        DetachedDataPlane(
            eventLoop: loop,
            nodeKey: NodePrivateKey(),
            configuration: TailnetNodeConfiguration(
                controlURL: "http://127.0.0.1:1",
                preferences: NodePreferences(hostname: "bench"),
                nicSocketPath: "/nowhere",
                dialPolicy: OpenPolicy(),
                logger: Logger(label: "bench") { _ in SwiftLogNoOpLogHandler() }
            )
        )
    }

    /// Reads a message as a node does.
    static func decode(_ message: Data) -> MapResponse {
        do {
            return try JSONDecoder.forMapStream.decode(MapResponse.self, from: message)
        } catch {
            preconditionFailure("the map could not be read: \(error)")
        }
    }

    private struct OpenPolicy: DialPolicy {
        func permits(_ address: IPAddress, for purpose: DialPurpose) -> Bool { true }
    }

    private static func addresses(_ number: Int) -> [IPPrefix] {
        [
            IPPrefix(.v4(IPv4Address(rawValue: 0x6440_0000 + UInt32(number)))),
            IPPrefix(.v6(IPv6Address(high: 0xFD7A_115C_A1E0_0000, low: UInt64(number)))),
        ]
    }

    private static func key(_ number: Int, _ kind: UInt8) -> [UInt8] {
        var octets = [UInt8](repeating: kind, count: 32)
        for place in 0..<8 { octets[place] = UInt8(truncatingIfNeeded: number >> (8 * place)) }
        return octets
    }

    private static func peer(_ number: Int) -> Node {
        var node = Node(id: NodeID(rawValue: Int64(number)))
        node.stableID = "n\(number)CNTRL"
        node.name = "host-\(number).tail1234.ts.net."
        node.user = 1_234_567
        node.key = NodePublicKey(bytes: key(number, 1)) ?? .zero
        node.machine = MachinePublicKey(bytes: key(number, 2)) ?? .zero
        node.discoKey = DiscoPublicKey(bytes: key(number, 3)) ?? .zero
        node.keyExpiry = now.adding(seconds: 10_000_000)
        node.created = now.adding(seconds: -Int64(number))
        node.lastSeen = now
        node.online = true
        node.machineAuthorized = true
        node.addresses = addresses(number)
        node.allowedIPs = node.addresses
        node.endpoints = (0..<3).map {
            AddressPort(.v4(IPv4Address(rawValue: 0x0A00_0000 + UInt32(number * 4 + $0))), port: 41641)
        }
        node.homeDERP = DERPRegionID(rawValue: Int64(number % 20 + 1))
        node.capabilityVersion = 131
        node.capabilityMap = ["https://tailscale.com/cap/is-admin": nil, "funnel": nil, "ssh-behavior-v1": nil]
        var hostinfo = Hostinfo()
        hostinfo.ipnVersion = "1.98.0-t1234567890-g1234567890"
        hostinfo.os = "linux"
        hostinfo.osVersion = "6.1.0-18-amd64"
        hostinfo.hostname = "host-\(number)"
        hostinfo.goArch = "amd64"
        hostinfo.services = [
            HostService(proto: "peerapi4", port: UInt16(truncatingIfNeeded: 20_000 + number)),
            HostService(proto: "peerapi6", port: UInt16(truncatingIfNeeded: 20_000 + number)),
            HostService(proto: "peerapi-dns-proxy", port: 1),
        ]
        node.hostinfo = hostinfo
        return node
    }
}
