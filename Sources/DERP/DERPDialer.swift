import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import NetTypes
import Tailcfg

/// Opens the TCP connection to a node of a region.
struct DERPDialer {
    let eventLoop: any EventLoop
    let policy: any DialPolicy

    static func isLiteral(_ host: String) -> Bool { IPAddress(host) != nil }

    /// Tries the nodes that speak DERP in their order, each for at most 1.5 s, until one accepts.
    func dial(_ nodes: [DERPNode]) -> EventLoopFuture<(any Channel, DERPNode)> {
        guard let node = nodes.first else {
            return eventLoop.makeFailedFuture(DERPError.noUsableNode)
        }
        let rest = Array(nodes.dropFirst())
        return connect(to: node).map { ($0, node) }.flatMapError { error in
            guard !rest.isEmpty else { return eventLoop.makeFailedFuture(error) }
            return dial(rest)
        }
    }

    private func connect(to node: DERPNode) -> EventLoopFuture<any Channel> {
        let port = Int(node.effectiveDERPPort)
        let reaches = [node.ipv4Reach, node.ipv6Reach]
        var hosts: [(host: String, families: DERPDialPolicyHandler.Families)] = reaches.compactMap { reach in
            if case .address(let address) = reach { ("\(address)", .both) } else { nil }
        }
        if reaches.contains(.dns), hosts.isEmpty {
            if Self.isLiteral(node.hostName) {
                hosts.append((node.hostName, .both))
            } else {
                let families = DERPDialPolicyHandler.Families(
                    ipv4: node.ipv4Reach == .dns,
                    ipv6: node.ipv6Reach == .dns
                )
                hosts.append((node.hostName, families))
            }
        }
        return connect(hosts, port: port)
    }

    private func connect(
        _ hosts: [(host: String, families: DERPDialPolicyHandler.Families)],
        port: Int
    ) -> EventLoopFuture<any Channel> {
        guard let (host, families) = hosts.first else {
            return eventLoop.makeFailedFuture(DERPError.noUsableNode)
        }
        let rest = Array(hosts.dropFirst())
        let policy = policy
        let bootstrap = ClientBootstrap(group: eventLoop)
            .connectTimeout(TimeAmount(DERPConstants.dialDeadline))
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelOption(.socketOption(.so_keepalive), value: 1)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(
                        DERPDialPolicyHandler(policy: policy, families: families)
                    )
                }
            }
        let connected: EventLoopFuture<any Channel>
        if Self.isLiteral(host) {
            do {
                connected = bootstrap.connect(to: try SocketAddress(ipAddress: host, port: port))
            } catch {
                connected = eventLoop.makeFailedFuture(error)
            }
        } else {
            connected = bootstrap.connect(host: host, port: port)
        }
        return connected.flatMapError { error in
            guard !rest.isEmpty else { return eventLoop.makeFailedFuture(error) }
            return connect(rest, port: port)
        }
    }
}

/// Checks the address of a connection in the moment it is opened, so that a name cannot change its mind after the check.
final class DERPDialPolicyHandler: ChannelOutboundHandler {
    typealias OutboundIn = ByteBuffer

    /// The address families that the map leaves enabled for a node.
    struct Families: Sendable {
        var ipv4: Bool
        var ipv6: Bool
        static let both = Families(ipv4: true, ipv6: true)
    }

    private let policy: any DialPolicy
    private let families: Families

    init(policy: any DialPolicy, families: Families) {
        self.policy = policy
        self.families = families
    }

    func connect(context: ChannelHandlerContext, to address: SocketAddress, promise: EventLoopPromise<Void>?) {
        guard let ip = address.ipAddress.flatMap({ IPAddress($0) })?.unmapped, policy.permits(ip, for: .derp) else {
            promise?.fail(DERPError.blockedByPolicy)
            return
        }
        guard ip.isIPv4 ? families.ipv4 : families.ipv6 else {
            promise?.fail(DERPError.unreachable)
            return
        }
        context.connect(to: address, promise: promise)
    }
}

extension DERPError {
    /// The cause behind an error of the network stack.
    init(mapping error: any Error) {
        switch error {
        case let error as DERPError:
            self = error
        case let error as NIOConnectionError:
            let blocked = error.connectionErrors.filter { ($0.error as? DERPError) == .blockedByPolicy }
            let all = error.connectionErrors.count
            self = all > 0 && blocked.count == all ? .blockedByPolicy : .unreachable
        case is NIOSSLError, is BoringSSLError, is NIOSSLExtraError:
            self = .tlsFailed
        case let error as ChannelError:
            if case .connectTimeout = error { self = .timedOut } else { self = .connectionClosed }
        case is HTTPParserError, is NIOHTTPDecoderError:
            self = .badGreeting
        case is IOError, is SocketAddressError:
            self = .unreachable
        default:
            self = .connectionClosed
        }
    }
}
