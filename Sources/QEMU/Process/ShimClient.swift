package import NIOCore
import WarrenModel

/// What a shim says about itself when one connects.
package struct ShimStatus: Hashable, Sendable {
    /// The shim's own process, for people: nothing is decided by it.
    package let shimPID: Int
    /// QEMU's process, for people and for reading its resource use.
    package let qemuPID: Int
    /// When QEMU was started, in milliseconds since 1970.
    package let startedAtMilliseconds: Int64
    /// How QEMU is confined: `namespaces`, `landlock-and-network` or `landlock`.
    package let confinement: String

    /// Reads the shim's status line; nil for another line.
    init?(_ tree: JSONTree) {
        guard tree["event"]?.string == "running", let shim = tree["shimPid"]?.integer,
            let qemu = tree["qemuPid"]?.integer,
            let started = tree["startedAtMs"]?.integer, let confinement = tree["confinement"]?.string
        else { return nil }
        shimPID = Int(shim)
        qemuPID = Int(qemu)
        startedAtMilliseconds = started
        self.confinement = confinement
    }
}

/// A connection to the shim of one running VM: it takes orders and tells of the end.
package final class ShimClient: Sendable {
    /// What the shim said on connect.
    package let status: ShimStatus
    private let channel: any Channel
    private let report: EventLoopFuture<VMExit?>

    private init(status: ShimStatus, channel: any Channel, report: EventLoopFuture<VMExit?>) {
        self.status = status
        self.channel = channel
        self.report = report
    }

    /// Connects to the shim of `directory`.
    ///
    /// - Throws: `QEMUError.notListening`, `.closed`, `.timedOut`.
    package static func connect(to directory: VMDirectory, group: any EventLoopGroup) async throws -> ShimClient {
        let eventLoop = group.next()
        let status = eventLoop.makePromise(of: ShimStatus.self), report = eventLoop.makePromise(of: VMExit?.self)
        let channel: any Channel
        do {
            channel = try await directory.connect(to: .control, group: eventLoop) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandlers(
                        LineHandler(limit: QEMUDefaults.maxShimLine),
                        ShimHandler(status: status, report: report)
                    )
                }
            }
        } catch {
            status.fail(error)
            report.succeed(nil)
            throw error
        }
        let timeout = eventLoop.scheduleTask(in: TimeAmount(QEMUDefaults.monitorTimeout)) {
            status.fail(QEMUError.timedOut(command: "status"))
        }
        defer { timeout.cancel() }
        do {
            return ShimClient(
                status: try await status.futureResult.get(),
                channel: channel,
                report: report.futureResult
            )
        } catch {
            channel.close(promise: nil)
            throw error
        }
    }

    /// The loop that the connection lives on.
    var eventLoop: any EventLoop { channel.eventLoop }

    /// Ends QEMU at once.
    package func kill() { order("kill\n") }

    /// Asks QEMU to end, without asking the guest.
    package func terminate() { order("terminate\n") }

    /// Waits until QEMU is gone; nil when the shim went with it and left no word.
    package func exit() async -> VMExit? { (try? await report.get()).flatMap { $0 } }

    /// Lets go of the shim, which goes on.
    package func close() { channel.close(promise: nil) }

    private func order(_ text: String) {
        // A shim that is gone has nothing left to end.
        channel.writeAndFlush(ByteBuffer(string: text), promise: nil)
    }
}

private final class ShimHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let status: EventLoopPromise<ShimStatus>
    private let report: EventLoopPromise<VMExit?>

    init(status: EventLoopPromise<ShimStatus>, report: EventLoopPromise<VMExit?>) {
        self.status = status
        self.report = report
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard let tree = try? JSONTree(parsing: Array(unwrapInboundIn(data).readableBytesView)) else { return }
        if let value = ShimStatus(tree) { status.succeed(value) }
        if let value = VMExit(report: tree) { report.succeed(value) }
    }

    func channelInactive(context: ChannelHandlerContext) {
        status.fail(QEMUError.closed(socket: VMDirectory.Entry.control.rawValue))
        report.succeed(nil)
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
