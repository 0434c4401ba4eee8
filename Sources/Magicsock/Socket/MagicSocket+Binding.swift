import Glibc
import Logging
import NIOCore
import NetTypes

extension MagicSocket {
    /// Binds the socket of one family.
    func bind(isIPv4: Bool, port: UInt16) -> EventLoopFuture<Void> {
        let address = configuration.bindAddress ?? (isIPv4 ? .v4(.unspecified) : .v6(.unspecified))
        let bound = UDPSocket.bind(
            to: AddressPort(address, port: port),
            eventLoop: eventLoop,
            receiver: UDPReceiver(owner: self, isIPv4: isIPv4),
            groupsSends: mayGroupSends
        )
        return bound.assumeIsolated()
            .map { [weak self] socket in
                guard let self, !self.isClosed else { return socket.close() }
                if isIPv4 { self.udpIPv4 = socket } else { self.udpIPv6 = socket }
            }
            .nonisolated()
    }

    /// Opens another socket in place of one that ended by itself.
    ///
    /// The kernel's refusal of one destination closes the whole channel in NIO; the node must not lose UDP for it.
    func socketClosed(isIPv4: Bool, _ error: (any Error)?) {
        guard !isClosed, let closed = isIPv4 ? udpIPv4 : udpIPv6 else { return }
        logger.debug("UDP socket closed", metadata: ["error": "\(error.map { "\($0)" } ?? "none")"])
        if isIPv4 { udpIPv4 = nil } else { udpIPv6 = nil }
        if mayGroupSends, let code = (error as? IOError)?.errnoCode, [EIO, EINVAL, EMSGSIZE].contains(code) {
            // A link without checksums, or one too narrow: its path is as good as before, only not for batches.
            mayGroupSends = false
        } else {
            for peer in peers.values where peer.endpoint.best?.address.address.isIPv4 == isIPv4 {
                peer.endpoint.reset()
                bestChanged(peer)
            }
        }
        rebind(isIPv4: isIPv4, port: closed.localAddress.port)
    }

    private func rebind(isIPv4: Bool, port: UInt16) {
        rebinds += 1
        let delay = TimeAmount.milliseconds(Int64(min(rebinds * rebinds * 10, 5_000)))
        eventLoop.assumeIsolated().scheduleTask(in: delay) { [weak self] in
            guard let self, !self.isClosed else { return }
            self.bind(isIPv4: isIPv4, port: port).assumeIsolated().whenComplete { [weak self] result in
                guard let self, !self.isClosed else { return }
                switch result {
                case .success: self.requestEndpoints(isFull: true)
                // Somebody else has the port now, or the address is gone for the moment.
                case .failure: self.rebind(isIPv4: isIPv4, port: self.rebinds > 3 ? 0 : port)
                }
            }
        }
    }
}
