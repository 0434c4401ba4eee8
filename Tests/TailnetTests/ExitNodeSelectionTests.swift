import NetTypes
import Tailcfg
import Testing
import WarrenModel

@testable import Tailnet

@Suite("ExitNodeSelection") struct ExitNodeSelectionTests {
    private let now = ControlTime(seconds: 1_787_000_000)

    private func candidate(_ id: NodeID, _ name: String, online: Bool? = true) -> Node {
        var node = Node(id: id)
        node.stableID = "stable\(id)"
        node.name = name
        node.homeDERP = 1
        node.addresses = [IPPrefix(.v4(IPv4Address(100, 64, 0, UInt8(id.rawValue))))]
        node.allowedIPs = node.addresses + [.everyIPv4, .everyIPv6]
        node.online = online
        return node
    }

    private func map(_ peers: [Node]) -> NetworkMap {
        var own = Node(id: 1)
        own.name = "me.example.net."
        var map = NetworkMap(selfNode: own)
        for peer in peers { map.peers[peer.id] = peer }
        return map
    }

    @Test(arguments: ["exit", "EXIT", "exit.example.net", "exit.example.net.", "stable5", "100.64.0.5"])
    func `a node is found by name, address and stable id`(_ text: String) {
        var selection = ExitNodeSelection()
        let map = map([candidate(4, "other.example.net."), candidate(5, "Exit.example.net.")])
        #expect(selection.resolve(ExitNodeChoice(text), in: map, now: now) == .selected(5))
        #expect(selection.stableID == "stable5")
    }

    @Test func `no wish is no exit node, and nobody with the name is one that cannot serve`() {
        var selection = ExitNodeSelection()
        let empty = map([])
        #expect(selection.resolve(nil, in: empty, now: now) == .none)
        let wish = ExitNodeChoice.named("exit")
        #expect(selection.resolve(wish, in: empty, now: now) == .selected(nil))
        // It joins later.
        let joined = candidate(5, "exit.example.net.")
        #expect(selection.resolve(wish, in: map([joined]), changed: [joined], now: now) == .selected(5))
    }

    @Test func `what was chosen stays chosen when its name passes to another, and is not replaced when it is gone`()
        throws
    {
        var selection = ExitNodeSelection()
        let wish = ExitNodeChoice.named("exit")
        _ = selection.resolve(wish, in: map([candidate(5, "exit.example.net.")]), now: now)
        let renamed = map([candidate(5, "old.example.net."), candidate(6, "exit.example.net.")])
        #expect(selection.resolve(wish, in: renamed, now: now) == .selected(5))
        let gone = map([candidate(6, "exit.example.net.")])
        #expect(selection.resolve(wish, in: gone, now: now) == .selected(nil))
        // Another wish starts anew.
        #expect(selection.resolve(nil, in: gone, now: now) == .none)
        #expect(selection.resolve(wish, in: gone, now: now) == .selected(6))
    }

    @Test func `the automatic choice holds while its node serves, and moves on when it goes offline`() {
        var selection = ExitNodeSelection()
        let first = [candidate(5, "a.example.net.", online: nil), candidate(6, "b.example.net.")]
        #expect(selection.resolve(.auto, in: map(first), now: now) == .selected(6))
        // A better number is no reason to move.
        #expect(selection.resolve(.auto, in: map(first + [candidate(2, "c.example.net.")]), now: now) == .selected(6))
        let failed = [candidate(5, "a.example.net.", online: nil), candidate(6, "b.example.net.", online: false)]
        #expect(selection.resolve(.auto, in: map(failed), now: now) == .selected(5))
        // Offline is better than nothing: control may be wrong.
        let offline = [candidate(5, "a.example.net.", online: false)]
        #expect(selection.resolve(.auto, in: map(offline), now: now) == .selected(5))
        var withdrawn = candidate(5, "a.example.net.")
        withdrawn.allowedIPs = withdrawn.addresses
        #expect(selection.resolve(.auto, in: map([withdrawn]), now: now) == .selected(nil))
    }
}
