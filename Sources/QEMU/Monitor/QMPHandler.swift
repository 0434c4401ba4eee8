import NIOCore
import WarrenModel

/// A command on its way to the monitor.
struct QMPCall: Sendable {
    /// The command's name.
    let command: String
    /// What it is given.
    let arguments: [String: JSONTree]
    /// How long its answer may take.
    let timeout: Duration
    /// Gets the answer, or why there is none.
    let answer: EventLoopPromise<JSONTree>
}

/// Matches answers with commands by their id, and hands events on.
///
/// Lines that are no JSON, and answers to nothing, end the connection: who speaks like that is not QEMU any more.
final class QMPHandler: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = QMPCall
    typealias OutboundOut = ByteBuffer

    private struct Pending {
        let command: String
        let answer: EventLoopPromise<JSONTree>
        let timeout: Scheduled<Void>
    }

    private let greeting: EventLoopPromise<Void>
    private let onEvent: @Sendable (QMPEvent) -> Void
    private var pending: [Int64: Pending] = [:]
    private var lastID: Int64 = 0
    private var isClosed = false

    /// Fulfils `greeting` when the monitor speaks; `onEvent` runs on the loop.
    init(greeting: EventLoopPromise<Void>, onEvent: @escaping @Sendable (QMPEvent) -> Void) {
        self.greeting = greeting
        self.onEvent = onEvent
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard let message = try? JSONTree(parsing: Array(unwrapInboundIn(data).readableBytesView)) else {
            context.close(promise: nil)
            return
        }
        if message["QMP"] != nil {
            greeting.succeed(())
        } else if let event = QMPEvent(message) {
            onEvent(event)
        } else if let id = message["id"]?.integer {
            // An answer that comes after its time is over belongs to nobody, but proves nothing bad.
            guard let call = pending.removeValue(forKey: id) else { return }
            call.timeout.cancel()
            if let value = message["return"] {
                call.answer.succeed(value)
            } else {
                let text = message["error"]?["desc"]?.string ?? "no reason given"
                call.answer.fail(QEMUError.refused(command: call.command, description: String(text.prefix(500))))
            }
        } else {
            context.close(promise: nil)
        }
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        let call = unwrapOutboundIn(data)
        lastID += 1
        let id = lastID
        var message: [String: JSONTree] = ["execute": .string(call.command), "id": .integer(id)]
        if !call.arguments.isEmpty { message["arguments"] = .object(call.arguments) }
        guard !isClosed, let octets = try? ModelJSON.bytes(JSONTree.object(message)) else {
            call.answer.fail(QEMUError.closed(socket: VMDirectory.Entry.monitor.rawValue))
            promise?.fail(ChannelError.ioOnClosedChannel)
            return
        }
        let timeout = context.eventLoop.assumeIsolated().scheduleTask(in: TimeAmount(call.timeout)) {
            guard let late = self.pending.removeValue(forKey: id) else { return }
            late.answer.fail(QEMUError.timedOut(command: late.command))
        }
        pending[id] = Pending(command: call.command, answer: call.answer, timeout: timeout)
        var buffer = context.channel.allocator.buffer(capacity: octets.count + 1)
        buffer.writeBytes(octets)
        buffer.writeInteger(UInt8(ascii: "\n"))
        context.write(wrapOutboundOut(buffer), promise: promise)
    }

    func channelInactive(context: ChannelHandlerContext) {
        isClosed = true
        let error = QEMUError.closed(socket: VMDirectory.Entry.monitor.rawValue)
        greeting.fail(error)
        for call in pending.values {
            call.timeout.cancel()
            call.answer.fail(error)
        }
        pending.removeAll()
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
