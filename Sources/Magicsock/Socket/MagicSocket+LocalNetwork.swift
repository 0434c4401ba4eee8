import Logging
import NIOCore
import NetTypes

extension MagicSocket {
    /// Whether UDP is used at the moment.
    var usesUDP: Bool { configuration.usesUDP && !switches.relayOnly }

    /// Takes the switches of the current map.
    package func setSwitches(_ new: MagicSocketSwitches) {
        guard new != switches else { return }
        let previous = switches
        switches = new
        for peer in peers.values { peer.endpoint.isSilent = new.silentDisco }
        if new.relayOnly != previous.relayOnly { localNetworkChanged() }
    }

    /// Forgets every path and finds out anew where this node is, because its addresses or routes changed.
    package func localNetworkChanged() {
        guard !isClosed else { return }
        logger.debug("local network changed")
        for peer in peers.values {
            let hadPath = peer.endpoint.best != nil
            peer.endpoint.reset()
            peer.lastPingSource = nil
            if hadPath { bestChanged(peer) }
        }
        derp.check()
        requestEndpoints(isFull: true)
        let now = self.now
        for peer in peers.values where peer.endpoint.isActive(at: now) { poll(peer) }
        flush()
    }

    /// Has changes of the local network reported, here and a little later: all nodes of this machine hear of them at once.
    func watchLocalNetwork() {
        let bound = NIOLoopBound(WeakSocket(socket: self), eventLoop: eventLoop)
        let eventLoop = eventLoop
        localNetworkListener = LocalNetworkMonitor.shared.add {
            eventLoop.scheduleTask(in: .milliseconds(.random(in: 0...200))) {
                bound.value.socket?.localNetworkChanged()
            }
        }
    }
}

private struct WeakSocket {
    weak var socket: MagicSocket?
}
