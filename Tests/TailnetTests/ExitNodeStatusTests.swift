import NetTypes
import Tailcfg
import Testing
import WarrenModel

@testable import Tailnet

@Suite("What an owner is told of exit nodes and keys") struct ExitNodeStatusTests {
    private let now = ControlTime(seconds: 1_787_000_000)

    private func gate(_ change: (inout Node) -> Void = { _ in }) -> NetworkMap {
        var node = Node(id: 5)
        node.stableID = "stable5"
        node.name = "gate.example.net."
        node.homeDERP = 1
        node.online = true
        node.addresses = [IPPrefix(.v4(IPv4Address(100, 64, 0, 5)))]
        node.allowedIPs = node.addresses + [.everyIPv4, .everyIPv6]
        change(&node)
        var map = NetworkMap(selfNode: Node(id: 1))
        map.peers[5] = node
        return map
    }

    private func status(_ map: NetworkMap, _ choice: ExitNodeChoice? = .named("stable5")) -> ExitNodeStatus {
        var selection = ExitNodeSelection()
        let route = selection.resolve(choice, in: map, now: now)
        return ExitNodeStatus(choice, route, in: map, now: now)
    }

    @Test func `the internet is reached through a node that serves`() {
        let status = status(gate())
        #expect(status.name == "gate.example.net" && status.reason == nil)
        #expect(status.internet == .exitNode("gate.example.net"))
    }

    @Test func `the internet is blocked, with the reason, while the chosen node does not serve`() {
        let offline = status(gate { $0.online = false })
        #expect(offline.internet == .blocked && offline.name == "gate.example.net")
        #expect(offline.reason?.code == "exit-node-unavailable")
        let withdrawn = status(gate { $0.allowedIPs = $0.addresses })
        #expect(withdrawn.internet == .blocked && withdrawn.reason?.message.contains("approved") == true)
        #expect(status(gate { $0.expired = true }).internet == .blocked)
        let absent = status(NetworkMap(selfNode: Node(id: 1)))
        #expect(absent.internet == .blocked && absent.name == nil && absent.reason != nil)
        #expect(status(NetworkMap(selfNode: Node(id: 1)), .auto).reason?.code == "exit-node-unavailable")
        #expect(status(gate(), nil) == .none)
    }

    @Test func `an automatic choice prefers what control suggests, then what is near`() {
        var map = gate()
        for id in [NodeID(6), 7] {
            var node = Node(id: id)
            node.stableID = "stable\(id)"
            node.name = "g\(id).example.net."
            node.homeDERP = 1
            node.online = true
            node.allowedIPs = [.everyIPv4, .everyIPv6]
            map.peers[id] = node
        }
        var near = ExitNodeSelection()
        let byLatency = near.resolve(.auto, in: map, now: now) { $0 == 7 ? .milliseconds(3) : .milliseconds(30) }
        #expect(byLatency == .selected(7))
        map.peers[6]?.capabilityMap.updateValue(nil, forKey: "suggest-exit-node")
        var suggested = ExitNodeSelection()
        #expect(suggested.resolve(.auto, in: map, now: now) { $0 == 7 ? .zero : nil } == .selected(6))
    }

    @Test func `a selection goes on after a restart with the node that it was`() {
        var first = ExitNodeSelection()
        _ = first.resolve(.named("gate"), in: gate { $0.name = "gate." }, now: now)
        var map = gate { $0.name = "renamed.example.net." }
        var other = Node(id: 9)
        other.stableID = "stable9"
        other.name = "gate."
        other.homeDERP = 1
        other.allowedIPs = [.everyIPv4, .everyIPv6]
        map.peers[9] = other
        var second = ExitNodeSelection(remembered: first.remembered)
        #expect(second.resolve(.named("gate"), in: map, now: now) == .selected(5))
        #expect(second.stableID == "stable5")
    }

    @Test(
        arguments: [
            (8 * 86_400, nil), (7 * 86_400, KeyWarning.week), (86_401, .week), (86_400, .day), (1, .day), (0, nil),
            (-5, nil),
        ] as [(Int64, KeyWarning?)]
    )
    func `a key's end is told a week and a day ahead`(seconds: Int64, warning: KeyWarning?) {
        #expect(KeyWarning.due(for: now.adding(seconds: seconds), at: now) == warning)
    }

    @Test func `a key without end warns of nothing, and the next warning is known`() {
        #expect(KeyWarning.due(for: .zero, at: now) == nil && KeyWarning.next(for: .zero, after: now) == nil)
        let end = now.adding(seconds: 3 * 86_400)
        #expect(KeyWarning.next(for: end, after: now) == now.adding(seconds: 2 * 86_400))
        #expect(KeyWarning.next(for: now.adding(seconds: 60), after: now) == nil)
    }
}
