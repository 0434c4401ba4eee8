import NIOCore
import NIOPosix
import NetTypes

/// Answers with addresses that are known already, so that NIO races them as it races those of DNS (RFC 8305).
struct FixedResolver: Resolver, Sendable {
    let eventLoop: any EventLoop
    let addresses: [IPAddress]

    func initiateAQuery(host: String, port: Int) -> EventLoopFuture<[SocketAddress]> {
        answer(addresses.filter(\.isIPv4), port)
    }

    func initiateAAAAQuery(host: String, port: Int) -> EventLoopFuture<[SocketAddress]> {
        answer(addresses.filter { !$0.isIPv4 }, port)
    }

    func cancelQueries() {}

    private func answer(_ addresses: [IPAddress], _ port: Int) -> EventLoopFuture<[SocketAddress]> {
        eventLoop.makeCompletedFuture {
            try addresses.map { try SocketAddress(ipAddress: "\($0)", port: port) }
        }
    }
}
