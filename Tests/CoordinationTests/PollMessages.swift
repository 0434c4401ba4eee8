import Foundation
import Synchronization
import Tailcfg
import TestSupport
import Testing
import WarrenCrypto

/// The messages of one poll, and what a stock client needs of them.
final class PollMessages: Sendable {
    struct Ended: Error {}

    let nodeKey: NodePublicKey
    private let messages = Mutex<[JSONValue]>([])
    private let questionCount = Mutex(0)
    private let arrivals: AsyncStream<Void>
    private let arrived: AsyncStream<Void>.Continuation

    init(nodeKey: NodePublicKey) {
        self.nodeKey = nodeKey
        (arrivals, arrived) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    }

    func append(_ message: JSONValue) {
        messages.withLock { $0.append(message) }
        arrived.yield()
    }

    func end() { arrived.finish() }

    /// Waits for the first message, which says everything.
    func waitForFirst() async throws {
        try await wait { !$0.isEmpty }
    }

    /// Waits for the next question.
    func nextQuestion() async throws -> JSONValue {
        let seen = questionCount.withLock { count in
            count += 1
            return count
        }
        try await wait { messages in messages.count { $0.PingRequest != nil } >= seen }
        return try #require(messages.withLock { $0.filter { $0.PingRequest != nil }[seen - 1].PingRequest })
    }

    private func wait(until isThere: ([JSONValue]) -> Bool) async throws {
        if messages.withLock({ isThere($0) }) { return }
        for await _ in arrivals where messages.withLock({ isThere($0) }) { return }
        throw Ended()
    }

    /// Checks every message that came.
    func check() throws {
        let messages = messages.withLock { $0 }
        let first = try #require(messages.first)
        checkFull(first)
        let ownID = first.Node?.ID?.int
        var users = Set(first.UserProfiles?.array?.compactMap { $0.ID?.int } ?? [])
        var reducer = NetworkMapReducer()
        for message in messages {
            let response = try JSONDecoder().decode(MapResponse.self, from: message.data)
            _ = try reducer.apply(response, now: ManualTime.start)
            users.formUnion(message.UserProfiles?.array?.compactMap { $0.ID?.int } ?? [])
            for peer in message.PeersChanged?.array ?? [] { checkPeer(peer, users: users, ownID: ownID) }
            for patch in message.PeersChangedPatch?.array ?? [] {
                #expect(patch.NodeID?.int != nil && patch.NodeID?.int != ownID)
            }
        }
        for message in messages.dropFirst() {
            #expect(message.Peers == nil, "all peers again would be a full map")
            #expect(message.DNSConfig == nil || message.Node != nil || message.PeersChanged == nil)
        }
    }

    /// The first message of a stream: whatever is missing here keeps a stock client from running.
    private func checkFull(_ message: JSONValue) {
        let users = Set(message.UserProfiles?.array?.compactMap { $0.ID?.int } ?? [])
        let node = message.Node
        #expect(node?.Key?.string == nodeKey.text)
        #expect(node?.MachineAuthorized?.bool == true && node?.Cap?.int != nil && node?.Created?.string != nil)
        if let node { checkNode(node, users: users) }
        #expect(message.DERPMap?.Regions?.object?.isEmpty == false)
        for region in message.DERPMap?.Regions?.object?.values.map({ $0 }) ?? [] {
            #expect(region.Nodes?.array?.isEmpty == false)
            for relay in region.Nodes?.array ?? [] { #expect(relay.HostName?.string?.isEmpty == false) }
        }
        #expect(message.DNSConfig?.object != nil && message.Domain?.string?.isEmpty == false)
        #expect(message.PacketFilters?.base?.array != nil && message.CollectServices?.bool == false)
        #expect(message.ControlTime?.string != nil && message.Debug?.DisableLogTail?.bool == true)
        for absent in ["TKAInfo", "SSHPolicy", "MapSessionHandle", "Seq", "KeepAlive", "PeersChanged"] {
            #expect(message[absent] == nil, "\(absent)")
        }
        #expect(message.Peers == nil || message.Peers?.array?.isEmpty == false)
        let peers = message.Peers?.array ?? []
        for peer in peers { checkPeer(peer, users: users, ownID: node?.ID?.int) }
        let ids = peers.compactMap { $0.ID?.int }
        #expect(ids == ids.sorted())
    }

    private func checkPeer(_ peer: JSONValue, users: Set<Int>, ownID: Int?) {
        #expect(peer.ID?.int != ownID && peer.Online?.bool != nil)
        #expect(peer.AllowedIPs?.array?.isEmpty == false && peer.DERP == nil)
        checkNode(peer, users: users)
    }

    private func checkNode(_ node: JSONValue, users: Set<Int>) {
        #expect((node.ID?.int ?? 0) > 0 && node.StableID?.string?.isEmpty == false)
        #expect(node.Name?.string?.hasSuffix(".") == true && node.Hostinfo?.object != nil)
        #expect(node.User?.int.map { users.contains($0) } == true)
        #expect(node.Machine?.string != nil && node.DiscoKey?.string != nil)
        #expect(node.Addresses?.array?.count == 2 && node.AllowedIPs?.array?.isEmpty != true)
    }
}
