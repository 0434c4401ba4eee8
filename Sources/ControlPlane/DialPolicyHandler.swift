import NIOCore
import NetTypes

/// Checks the address of a connection in the moment it is opened.
///
/// It sits in the pipeline before `connect` runs, so the address that is judged is the address that is connected to: a name is resolved
/// once, by NIO, and cannot change its mind in between.
final class DialPolicyHandler: ChannelOutboundHandler {
    typealias OutboundIn = ByteBuffer

    private let policy: any DialPolicy

    init(policy: any DialPolicy) {
        self.policy = policy
    }

    func connect(context: ChannelHandlerContext, to address: SocketAddress, promise: EventLoopPromise<Void>?) {
        guard let ip = address.ipAddress.flatMap({ IPAddress($0) }), policy.permits(ip.unmapped, for: .control) else {
            promise?.fail(ControlError.blockedByPolicy)
            return
        }
        context.connect(to: address, promise: promise)
    }
}
