package import NIOCore

/// Everything that one attempt to connect has opened, to be closed together when it is given up.
///
/// An attempt whose connection is handed on simply forgets its scope.
package final class DialScope: Sendable {
    private struct Contents {
        var channels: [any Channel] = []
        var isCancelled = false
    }

    private let contents: NIOLoopBoundBox<Contents>

    /// An empty scope for channels of this loop.
    package init(eventLoop: any EventLoop) {
        contents = .makeBoxSendingValue(Contents(), eventLoop: eventLoop)
    }

    /// Takes in a channel that is about to connect; on its event loop.
    func admit(_ channel: any Channel) throws(TransportError) {
        guard !contents.value.isCancelled else { throw .connectionClosed }
        contents.value.channels.append(channel)
    }

    /// Closes what was opened and lets nothing more be opened; from any thread.
    package func cancel() {
        let contents = contents
        contents.eventLoop.execute {
            contents.value.isCancelled = true
            for channel in contents.value.channels { channel.close(promise: nil) }
            contents.value.channels = []
        }
    }
}
