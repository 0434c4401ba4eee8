import NIOCore
import WarrenModel

/// A command on its way to the guest's agent.
struct AgentCall: Sendable {
    /// The command's name.
    let command: String
    /// What it is given.
    let arguments: [String: JSONTree]
    /// How long its answer may take.
    let timeout: Duration
    /// Nil for a command that is not answered when it succeeds.
    let answer: EventLoopPromise<JSONTree>?
}

/// Speaks qemu-guest-agent's protocol: first finds the beginning of an answer by `guest-sync-delimited`, then one
/// command at a time.
///
/// The guest may be hostile: nothing is read while nothing is asked, a line has a limit, and whatever does not fit ends
/// the connection.
final class GuestAgentHandler: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = AgentCall
    typealias OutboundOut = ByteBuffer

    /// What stands before the answer to `guest-sync-delimited`, and what clears the agent's parser: JSON never holds it.
    private static let delimiter: UInt8 = 0xFF

    private let ready: EventLoopPromise<Void>
    private let maxLine: Int
    private var buffer = ByteBuffer()
    private var searched = 0
    private var isSynced = false
    private var isClosed = false
    private var syncIDs: Set<Int64> = []
    private var retry: Scheduled<Void>?
    private var waiting: [AgentCall] = []
    private var current: AgentCall?
    private var timeout: Scheduled<Void>?

    /// Fulfils `ready` when the agent answers.
    init(ready: EventLoopPromise<Void>, maxLine: Int = QEMUDefaults.maxAgentLine) {
        self.ready = ready
        self.maxLine = maxLine
    }

    func channelActive(context: ChannelHandlerContext) {
        context.fireChannelActive()
        sync(context)
    }

    /// Asks for the agent until it answers: one that is not there yet reads the question when it comes.
    private func sync(_ context: ChannelHandlerContext) {
        guard !isSynced, !isClosed else { return }
        // A hostile guest could answer all of them; the right ones among the last few are enough.
        if syncIDs.count >= 64 { syncIDs.removeAll() }
        let id = Int64.random(in: 1...(1 << 31))
        syncIDs.insert(id)
        send(context, command: "guest-sync-delimited", arguments: ["id": .integer(id)], delimited: true)
        context.read()
        retry = context.eventLoop.assumeIsolated().scheduleTask(in: TimeAmount(QEMUDefaults.agentRetryInterval)) {
            self.sync(context)
        }
    }

    func read(context: ChannelHandlerContext) {
        if !isSynced || current != nil { context.read() }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var incoming = unwrapInboundIn(data)
        if buffer.readableBytes == 0 { buffer.clear() }
        buffer.writeBuffer(&incoming)
        while let offset = buffer.readableBytesView.dropFirst(searched).firstIndex(of: UInt8(ascii: "\n")) {
            let length = offset - buffer.readerIndex
            searched = 0
            guard let line = buffer.readBytes(length: length) else { break }
            buffer.moveReaderIndex(forwardBy: 1)
            guard take(line, context) else {
                context.close(promise: nil)
                return
            }
        }
        searched = buffer.readableBytes
        if searched > maxLine {
            buffer = ByteBuffer()
            searched = 0
            context.close(promise: nil)
        } else if buffer.readerIndex > maxLine {
            buffer.discardReadBytes()
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        context.fireChannelReadComplete()
        if !isSynced || current != nil { context.read() }
    }

    private func take(_ line: [UInt8], _ context: ChannelHandlerContext) -> Bool {
        guard isSynced else {
            guard let start = line.lastIndex(of: Self.delimiter),
                let message = try? JSONTree(parsing: Array(line[(start + 1)...])),
                let id = message["return"]?.integer, syncIDs.contains(id)
            else { return true }
            isSynced = true
            retry?.cancel()
            ready.succeed(())
            next(context)
            return true
        }
        let text = line.first == Self.delimiter ? Array(line.dropFirst()) : line
        guard let message = try? JSONTree(parsing: text) else { return false }
        // Late answers to earlier questions of the same kind.
        if let id = message["return"]?.integer, syncIDs.contains(id) { return true }
        guard let call = current else { return false }
        timeout?.cancel()
        current = nil
        if let value = message["return"] {
            call.answer?.succeed(value)
        } else if let error = message["error"] {
            let description = String((error["desc"]?.string ?? "no reason given").prefix(500))
            call.answer?.fail(QEMUError.refused(command: call.command, description: description))
        } else {
            call.answer?.fail(QEMUError.closed(socket: VMDirectory.Entry.agent.rawValue))
            return false
        }
        next(context)
        return true
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        let call = unwrapOutboundIn(data)
        guard !isClosed else {
            call.answer?.fail(QEMUError.closed(socket: VMDirectory.Entry.agent.rawValue))
            promise?.fail(ChannelError.ioOnClosedChannel)
            return
        }
        waiting.append(call)
        promise?.succeed(())
        next(context)
    }

    private func next(_ context: ChannelHandlerContext) {
        while isSynced, current == nil, !waiting.isEmpty {
            let call = waiting.removeFirst()
            send(context, command: call.command, arguments: call.arguments, delimited: false)
            guard call.answer != nil else { continue }
            current = call
            timeout = context.eventLoop.assumeIsolated().scheduleTask(in: TimeAmount(call.timeout)) {
                self.current = nil
                // The answer may still come and would be taken for the next one's: the place is lost. The connection
                // goes first, so that whoever hears of the failure and tries again gets a new one.
                context.close(promise: nil)
                call.answer?.fail(QEMUError.timedOut(command: call.command))
            }
            context.read()
        }
    }

    private func send(
        _ context: ChannelHandlerContext,
        command: String,
        arguments: [String: JSONTree],
        delimited: Bool
    ) {
        var message: [String: JSONTree] = ["execute": .string(command)]
        if !arguments.isEmpty { message["arguments"] = .object(arguments) }
        guard let octets = try? ModelJSON.bytes(JSONTree.object(message)) else { return }
        var buffer = context.channel.allocator.buffer(capacity: octets.count + 2)
        if delimited { buffer.writeInteger(Self.delimiter) }
        buffer.writeBytes(octets)
        buffer.writeInteger(UInt8(ascii: "\n"))
        context.writeAndFlush(wrapOutboundOut(buffer), promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        isClosed = true
        retry?.cancel()
        timeout?.cancel()
        let error = QEMUError.closed(socket: VMDirectory.Entry.agent.rawValue)
        ready.fail(error)
        current?.answer?.fail(error)
        current = nil
        for call in waiting { call.answer?.fail(error) }
        waiting.removeAll()
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
