import NIOCore
import NetTypes

/// Checks the address of a connection in the moment it is opened.
///
/// It sits in the pipeline before `connect` runs, so the address that is judged is the address that is connected to: a name is resolved
/// once, by NIO, and cannot change its mind in between.
final class DialPolicyHandler: ChannelOutboundHandler {
    typealias OutboundIn = ByteBuffer

    private let policy: any DialPolicy
    private let purpose: DialPurpose
    private let families: DialTarget.Families

    init(policy: any DialPolicy, purpose: DialPurpose, families: DialTarget.Families) {
        self.policy = policy
        self.purpose = purpose
        self.families = families
    }

    func connect(context: ChannelHandlerContext, to address: SocketAddress, promise: EventLoopPromise<Void>?) {
        guard let ip = address.ipAddress.flatMap({ IPAddress($0) })?.unmapped else {
            promise?.fail(TransportError.unreachable)
            return
        }
        guard families.contains(ip.isIPv4 ? .ipv4 : .ipv6) else {
            promise?.fail(TransportError.unreachable)
            return
        }
        guard policy.permits(ip, for: purpose) else {
            promise?.fail(TransportError.blockedByPolicy)
            return
        }
        context.connect(to: address, promise: promise)
    }
}
