import NIOCore
import NIOHTTP2

/// Watches a client's session at the server: one that answers no ping or asks for nothing is let go, and on shutdown it is told so.
///
/// Without pings the end of a client whose host vanished would show only when something is written to it.
final class SessionKeeper: ChannelInboundHandler {
    typealias InboundIn = HTTP2Frame
    typealias InboundOut = HTTP2Frame
    typealias OutboundOut = HTTP2Frame

    /// Counts the streams of a session for its keeper.
    struct StreamCounter: NIOHTTP2StreamDelegate {
        fileprivate let keeper: NIOLoopBound<SessionKeeper>

        func streamCreated(_ id: HTTP2StreamID, channel: any Channel) { keeper.value.changeStreamCount(by: 1) }

        func streamClosed(_ id: HTTP2StreamID, channel: any Channel) { keeper.value.changeStreamCount(by: -1) }
    }

    private let pingInterval: TimeAmount
    private let pingDeadline: TimeAmount
    private let idleDeadline: TimeAmount
    private var context: ChannelHandlerContext?
    private var pings: RepeatedTask?
    private var pingAlarm: Scheduled<Void>?
    private var idleAlarm: Scheduled<Void>?
    private var streamCount = 0

    init(
        pingInterval: TimeAmount = ControlDefaults.pingInterval,
        pingDeadline: TimeAmount = ControlDefaults.pingAnswerDeadline,
        idleDeadline: TimeAmount = ControlDefaults.idleSessionDeadline
    ) {
        self.pingInterval = pingInterval
        self.pingDeadline = pingDeadline
        self.idleDeadline = idleDeadline
    }

    /// The delegate for the HTTP/2 handler of the same channel.
    func streamCounter(on eventLoop: any EventLoop) -> StreamCounter {
        StreamCounter(keeper: NIOLoopBound(self, eventLoop: eventLoop))
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        pings = context.eventLoop.scheduleRepeatedTask(initialDelay: pingInterval, delay: pingInterval) { _ in
            bound.value.ping()
        }
        watchIdleness()
    }

    func handlerRemoved(context: ChannelHandlerContext) { stop() }

    func channelInactive(context: ChannelHandlerContext) {
        stop()
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if case .ping(_, ack: true) = unwrapInboundIn(data).payload {
            pingAlarm?.cancel()
            pingAlarm = nil
        }
        context.fireChannelRead(data)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is ChannelShouldQuiesceEvent {
            let frame = HTTP2Frame(
                streamID: .rootStream,
                payload: .goAway(lastStreamID: .maxID, errorCode: .noError, opaqueData: nil)
            )
            context.writeAndFlush(wrapOutboundOut(frame), promise: nil)
        }
        context.fireUserInboundEventTriggered(event)
    }

    private func ping() {
        guard let context, pingAlarm == nil else { return }
        let frame = HTTP2Frame(streamID: .rootStream, payload: .ping(HTTP2PingData(withInteger: 0), ack: false))
        context.writeAndFlush(wrapOutboundOut(frame), promise: nil)
        pingAlarm = closing(in: pingDeadline, context)
    }

    private func changeStreamCount(by change: Int) {
        streamCount += change
        idleAlarm?.cancel()
        idleAlarm = nil
        if streamCount == 0 { watchIdleness() }
    }

    private func watchIdleness() {
        guard let context else { return }
        idleAlarm = closing(in: idleDeadline, context)
    }

    private func closing(in time: TimeAmount, _ context: ChannelHandlerContext) -> Scheduled<Void> {
        let channel = context.channel
        return context.eventLoop.scheduleTask(in: time) { channel.close(promise: nil) }
    }

    private func stop() {
        context = nil
        pings?.cancel()
        pingAlarm?.cancel()
        idleAlarm?.cancel()
    }
}
