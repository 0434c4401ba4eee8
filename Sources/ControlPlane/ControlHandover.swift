import NIOCore
import NIOHTTP1
import Transport
import WarrenCrypto

/// Turns a connection to the server into a Noise stream with HTTP/2 inside.
struct ControlHandover {
    let configuration: ControlConfiguration
    let serverKey: MachinePublicKey

    /// Runs upgrade and handshake with a new initiation; on the channel's event loop.
    func run(_ carrier: ControlRoute.Carrier, on channel: any Channel) throws -> EventLoopFuture<ControlConnection> {
        let initiator = try ControlNoiseHandshake.Initiator(
            machineKey: configuration.machineKey,
            serverKey: serverKey,
            version: configuration.capabilityVersion
        )
        let url = configuration.url
        let initiation = initiator.initiation
        let opened = channel.eventLoop.makePromise(of: Void.self)
        let noise = ControlNoiseHandler(initiator: initiator, opened: opened)
        let install: (any Channel) throws -> Void = { try $0.pipeline.syncOperations.addHandler(noise) }
        let handedOver =
            switch carrier {
            case .raw:
                HTTPHandover.run(
                    ControlUpgrade.requestHead(url: url, initiation: initiation, userAgent: ControlRequest.userAgent),
                    on: channel,
                    accepts: { reply throws(TransportError) in
                        guard ControlUpgrade.accepts(reply) else {
                            throw .upgradeRefused(status: Int(reply.status.code))
                        }
                    },
                    install: install
                )
            case .webSocket:
                WebSocketClient.upgrade(
                    channel,
                    uri: ControlUpgrade.webSocketURI(url: url, initiation: initiation),
                    authority: url.authority,
                    subprotocol: ControlConstants.webSocketRoute.subprotocol,
                    limits: ControlConstants.webSocketRoute.limits,
                    install: install
                )
            }
        handedOver.whenFailure { opened.fail($0) }
        return opened.futureResult.flatMapThrowing {
            try ControlConnection(configuring: channel, authority: url.authority)
        }
    }
}
