package import NIOCore
import WarrenModel

/// The shim that holds the memory of a template; it lives on when this object, or the daemon, goes.
package struct MemoryHolder: Sendable {
    /// The template's directory.
    package let directory: VMDirectory

    /// Names the holder of a directory, which need not live.
    package init(of directory: VMDirectory) { self.directory = directory }

    /// Where clones get the memory from.
    package var socketPath: String { Self.socketPath(in: directory.path) }

    /// Where clones get the memory from that is held in the directory at `path`.
    package static func socketPath(in path: String) -> String { "\(path)/\(VMDirectory.Entry.control.rawValue)" }

    /// Whether the memory is held.
    package var isAlive: Bool { directory.isAlive }

    /// Holds `memoryMiB` of memory: what the directory's file `memory` has, sealed, or nothing yet.
    ///
    /// - Throws: `QEMUError.launchFailed`, `.alreadyRunning`, `.notInstalled`, `.toolTimedOut`.
    package func start(shim: String, memoryMiB: Int) async throws {
        let result = try await ShortTool.run(
            shim,
            ["hold", "--directory", directory.path, "--memory-mib", String(memoryMiB)],
            timeout: QEMUDefaults.launchTimeout
        )
        guard !result.isSuccess else { return }
        if result.exitCode == QEMUProcess.alreadyRunningCode { throw QEMUError.alreadyRunning }
        throw QEMUError.launchFailed(detail: String(result.errors.prefix(1000)))
    }

    /// Seals the memory and writes its copy to the file `memory`; every QEMU that writes to it must be gone.
    ///
    /// - Throws: `QEMUError.refused` when the disk is full, `.closed`, `.timedOut`.
    package func save(group: any EventLoopGroup) async throws {
        let answer = try await order("save", group: group)
        guard answer["event"]?.string == "saved" else {
            throw QEMUError.refused(command: "save", description: answer["reason"]?.string ?? "the shim failed")
        }
    }

    /// Lets the memory go; clones keep what they have.
    package func end(group: any EventLoopGroup) async {
        guard isAlive else { return }
        // A holder that is gone meanwhile has ended as well.
        _ = try? await order("end", group: group)
    }

    private func order(_ word: String, group: any EventLoopGroup) async throws -> JSONTree {
        let eventLoop = group.next()
        let answer = eventLoop.makePromise(of: JSONTree.self)
        let channel: any Channel
        do {
            channel = try await directory.connect(to: .control, group: eventLoop) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandlers(
                        LineHandler(limit: QEMUDefaults.maxShimLine),
                        HolderHandler(order: word, answer: answer)
                    )
                }
            }
        } catch {
            answer.fail(error)
            throw error
        }
        // Writing the copy takes as long as the disk does.
        let timer = eventLoop.scheduleTask(in: TimeAmount(QEMUDefaults.launchTimeout)) {
            answer.fail(QEMUError.timedOut(command: word))
        }
        defer {
            timer.cancel()
            channel.close(promise: nil)
        }
        return try await answer.futureResult.get()
    }
}

/// Gives one order once the holder has said what it holds, and passes on the answer.
private final class HolderHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let order: String
    private let answer: EventLoopPromise<JSONTree>
    private var isGreeted = false

    init(order: String, answer: EventLoopPromise<JSONTree>) {
        self.order = order
        self.answer = answer
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard let tree = try? JSONTree(parsing: Array(unwrapInboundIn(data).readableBytesView)) else { return }
        guard isGreeted else {
            isGreeted = true
            return context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: order + "\n")), promise: nil)
        }
        answer.succeed(tree)
    }

    func channelInactive(context: ChannelHandlerContext) {
        answer.fail(QEMUError.closed(socket: VMDirectory.Entry.control.rawValue))
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
