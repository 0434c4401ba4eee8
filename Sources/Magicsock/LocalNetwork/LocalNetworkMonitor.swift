import Glibc
import NIOCore
import NIOPosix
import Synchronization

/// Tells everybody who asked when the addresses or default routes of this machine change.
///
/// The kernel tells it by a routing socket; where there is none, it looks every ten seconds. One serves all nodes.
package final class LocalNetworkMonitor: Sendable {
    /// The one of this process.
    package static let shared = LocalNetworkMonitor()

    private struct State {
        var listeners: [Int: @Sendable () -> Void] = [:]
        var nextListener = 0
        var fingerprint: [String] = []
        var isCheckPlanned = false
        var isWatching = false
        var channel: (any Channel)?
    }

    private let state = Mutex(State())
    private let eventLoop = MultiThreadedEventLoopGroup.singleton.any()

    /// A monitor that begins with its first listener.
    package init() {}

    /// Has `listener` called after every change, on a loop of the monitor's; returns what `remove` wants.
    package func add(_ listener: @escaping @Sendable () -> Void) -> Int {
        let (number, begins) = state.withLock { state in
            state.nextListener += 1
            state.listeners[state.nextListener] = listener
            let begins = !state.isWatching
            state.isWatching = true
            return (state.nextListener, begins)
        }
        if begins {
            eventLoop.execute {
                self.state.withLock { $0.fingerprint = LocalNetwork.fingerprint() }
                self.watch()
            }
        }
        return number
    }

    /// Forgets a listener; with the last one the monitor rests.
    package func remove(_ number: Int) {
        let channel = state.withLock { state -> (any Channel)? in
            state.listeners[number] = nil
            guard state.listeners.isEmpty else { return nil }
            defer { state.channel = nil }
            return state.channel
        }
        channel?.close(promise: nil)
    }

    private func watch() {
        guard let descriptor = RoutingSocket.open() else { return poll() }
        NIOPipeBootstrap(group: eventLoop)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(ChangeHandler { self.planCheck() })
                }
            }
            .takingOwnershipOfDescriptor(input: descriptor)
            .whenComplete { result in
                switch result {
                case .failure:
                    Glibc.close(descriptor)
                    self.poll()
                case .success(let channel):
                    let isWanted = self.state.withLock { state in
                        state.channel = channel
                        return !state.listeners.isEmpty
                    }
                    channel.closeFuture.whenComplete { _ in self.poll() }
                    if !isWanted { channel.close(promise: nil) }
                }
            }
    }

    // Also the way back after the kernel had more to say than its buffer holds, which ends the channel.
    private func poll() {
        let isWanted = state.withLock { state in
            state.channel = nil
            if state.listeners.isEmpty { state.isWatching = false }
            return state.isWatching
        }
        guard isWanted else { return }
        eventLoop.scheduleTask(in: TimeAmount(MagicsockConstants.networkPollInterval)) {
            self.check()
            self.watch()
        }
    }

    private func planCheck() {
        let isFirst = state.withLock { state in
            defer { state.isCheckPlanned = true }
            return !state.isCheckPlanned
        }
        guard isFirst else { return }
        eventLoop.scheduleTask(in: TimeAmount(MagicsockConstants.networkSettleTime)) { self.check() }
    }

    private func check() {
        let fingerprint = LocalNetwork.fingerprint()
        let listeners = state.withLock { state -> [@Sendable () -> Void] in
            state.isCheckPlanned = false
            guard state.fingerprint != fingerprint else { return [] }
            state.fingerprint = fingerprint
            return Array(state.listeners.values)
        }
        for listener in listeners { listener() }
    }
}

/// Takes any octets of the routing socket for "look again".
private final class ChangeHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    private let changed: () -> Void

    init(_ changed: @escaping () -> Void) { self.changed = changed }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { changed() }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
