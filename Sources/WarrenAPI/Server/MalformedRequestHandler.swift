import HTTPTypes
import NIOCore
import NIOHTTP1
import NIOHTTPTypes
import WarrenModel

/// Answers what is no HTTP with a problem document; the server beneath would send an empty 400.
final class MalformedRequestHandler: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPRequestPart
    typealias InboundOut = HTTPRequestPart
    typealias OutboundIn = HTTPResponsePart
    typealias OutboundOut = HTTPResponsePart

    /// How many requests were read and are not answered yet.
    private var openRequests = 0

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if case .head = unwrapInboundIn(data) { openRequests += 1 }
        context.fireChannelRead(data)
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        if case .end = unwrapOutboundIn(data) { openRequests -= 1 }
        context.write(data, promise: promise)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard let error = error as? HTTPParserError else { return context.fireErrorCaught(error) }
        // An answer that is under way cannot be followed by another; the connection just ends.
        guard openRequests == 0 else { return context.close(promise: nil) }
        let problem =
            error == .headerOverflow
            ? APIProblem(.headersTooLarge, "The header fields have more than \(APILimits.headerByteCount) octets.")
            : APIProblem(.malformedRequest, "The request is not HTTP/1.1.")
        let requestID = RequestID.made()
        // A problem is made of strings and numbers; there is nothing in it that could not be written.
        let body = (try? ModelJSON.bytes(problem.body(instance: "/", requestID: requestID))) ?? []
        let head = HTTPResponse(
            status: HTTPResponse.Status(code: problem.kind.status),
            headerFields: [
                .connection: "close", .contentType: Problem.mediaType, .contentLength: String(body.count),
                .requestID: requestID,
            ]
        )
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        context.write(wrapOutboundOut(.body(ByteBuffer(bytes: body))), promise: nil)
        let channel = context.channel
        context.writeAndFlush(wrapOutboundOut(.end(nil))).whenComplete { _ in channel.close(promise: nil) }
    }
}
