import NetTypes
package import Tailcfg
package import WarrenCrypto
package import WarrenModel

/// The tailnet as a value: nodes, auth keys and pending logins, with the rules that change them.
///
/// Nothing here waits or knows a clock; what became different is collected in `changes` until someone writes it down.
package struct TailnetState: Sendable {
    /// What an administrator decided.
    package let rules: TailnetRules
    /// The nodes by number.
    package private(set) var nodes: [NodeID: NodeRecord] = [:]
    /// The numbers of the nodes, in order: sorting the nodes for each client's map would cost more than building it.
    package private(set) var nodeIDs: [NodeID] = []
    /// The auth keys by id.
    package var authKeys: [String: AuthKeyRecord] = [:]
    /// Logins by id, ended ones until their time is over.
    package var logins: [String: PendingLogin] = [:]
    /// What is not yet written down.
    package var changes = CoordinationChanges()
    /// Who may reach what.
    package internal(set) var policy: GrantPolicy
    /// How often the policy was set.
    package internal(set) var policyRevision: Int64
    /// What was set about DNS by the API; nil = as the rules say.
    package internal(set) var dnsSetting: TailnetDNS?
    /// Counts what can change who sees whom, so that a `PolicyIndex` is made anew only then.
    package internal(set) var policyEpoch: UInt64 = 0

    private var pool: AddressPool
    private var nextNodeID: Int64
    private var idByNodeKey: [NodePublicKey: NodeID] = [:]
    private var idsByMachine: [MachinePublicKey: Set<NodeID>] = [:]
    private var machineByFormerKey: [NodePublicKey: MachinePublicKey] = [:]
    private var idByName: [String: NodeID] = [:]

    private static let nodeCounter = "next-node"
    private static let addressCounter = "next-address"
    private static let restingDocument = "resting-addresses"

    /// Takes up what was written down.
    ///
    /// - Throws: `CoordinationError.invalidAddressRange`, `damagedRecord`.
    package init(rules: TailnetRules, snapshot: CoordinationSnapshot) throws(CoordinationError) {
        self.rules = rules
        pool = try AddressPool(
            ipv4Range: rules.ipv4Range,
            ipv6Range: rules.ipv6Range,
            next: UInt32(clamping: snapshot.counters[Self.addressCounter] ?? 1),
            resting: try Self.resting(snapshot.documents[Self.restingDocument])
        )
        (policy, policyRevision) = try Self.storedPolicy(snapshot, rules)
        dnsSetting = try Self.storedDNS(snapshot)
        nextNodeID = max(1, snapshot.counters[Self.nodeCounter] ?? 1)
        for node in snapshot.nodes {
            nodes[node.id] = node
            index(node)
            pool.reserve(node.ipv4)
            nextNodeID = max(nextNodeID, node.id.rawValue + 1)
        }
        nodeIDs = nodes.keys.sorted()
        for key in snapshot.authKeys { authKeys[key.id] = key }
    }

    /// The node that holds a key now.
    package func node(withKey key: NodePublicKey) -> NodeRecord? { idByNodeKey[key].flatMap { nodes[$0] } }

    /// The nodes of a machine, oldest first.
    package func nodes(of machineKey: MachinePublicKey) -> [NodeRecord] {
        (idsByMachine[machineKey] ?? []).sorted().compactMap { nodes[$0] }
    }

    /// The machine that a node key, present or former, is bound to.
    package func machine(boundTo key: NodePublicKey) -> MachinePublicKey? {
        node(withKey: key)?.machineKey ?? machineByFormerKey[key]
    }

    /// The full DNS name of a label, with trailing dot.
    package func dnsName(of label: String) -> String { "\(label).\(rules.domain)." }

    /// Whether a label is spoken for by someone other than `owner`.
    package func isTaken(_ label: String, by owner: NodeID?) -> Bool {
        if label == "localhost" || rules.reservedLabels.contains(label) { return true }
        guard let holder = idByName[label] else { return false }
        return holder != owner
    }

    /// Changes a node in place and notes it for writing.
    @discardableResult
    mutating func update(_ id: NodeID, _ body: (inout NodeRecord) -> Void) -> NodeRecord? {
        guard var node = nodes[id] else { return nil }
        unindex(node)
        body(&node)
        if node.standing != nodes[id]?.standing { policyEpoch += 1 }
        nodes[id] = node
        index(node)
        changes.nodes[id] = node
        return node
    }

    /// Adds a node made by `make` from the next number and addresses.
    mutating func insert(
        now: ControlTime,
        _ make: (NodeID, AddressPool.Pair) -> NodeRecord
    ) throws(CoordinationError) -> NodeRecord {
        let addresses = try pool.allocate(now: now)
        let node = make(NodeID(rawValue: nextNodeID), addresses)
        nextNodeID += 1
        policyEpoch += 1
        nodes[node.id] = node
        nodeIDs.append(node.id)
        index(node)
        changes.nodes[node.id] = node
        changes.counters[Self.nodeCounter] = nextNodeID
        changes.counters[Self.addressCounter] = Int64(pool.next)
        return node
    }

    /// Forgets a node: its name is free at once, its address after a day.
    @discardableResult
    package mutating func removeNode(_ id: NodeID, now: ControlTime) -> NodeRecord? {
        guard let node = nodes.removeValue(forKey: id) else { return nil }
        nodeIDs.removeAll { $0 == id }
        unindex(node)
        pool.release(node.ipv4, now: now)
        policyEpoch += 1
        if let resting = pool.restingToKeep { changes.documents[Self.restingDocument] = Self.text(of: resting) }
        changes.nodes[id] = nil
        changes.removedNodes.insert(id)
        return node
    }

    /// Resting addresses as they are written down: the seconds until which each rests.
    private static func text(of resting: [IPv4Address: ControlTime]) -> String? {
        let seconds = resting.map { ($0.key.description, JSONTree.integer($0.value.seconds)) }
        // A dictionary of integers is always JSON.
        return try? ModelJSON.text(JSONTree.object(Dictionary(seconds) { first, _ in first }))
    }

    private static func resting(_ text: String?) throws(CoordinationError) -> [IPv4Address: ControlTime] {
        guard let text else { return [:] }
        guard let tree = try? JSONTree(parsing: Array(text.utf8)), let members = tree.object else {
            throw .damagedRecord(restingDocument)
        }
        var resting: [IPv4Address: ControlTime] = [:]
        for (name, value) in members {
            guard let address = IPv4Address(name), let seconds = value.integer else {
                throw .damagedRecord(restingDocument)
            }
            resting[address] = ControlTime(seconds: seconds)
        }
        return resting
    }

    private mutating func index(_ node: NodeRecord) {
        idByNodeKey[node.nodeKey] = node.id
        idsByMachine[node.machineKey, default: []].insert(node.id)
        idByName[node.givenName] = node.id
        for key in node.formerNodeKeys { machineByFormerKey[key] = node.machineKey }
    }

    private mutating func unindex(_ node: NodeRecord) {
        idByNodeKey[node.nodeKey] = nil
        idsByMachine[node.machineKey]?.remove(node.id)
        if idsByMachine[node.machineKey]?.isEmpty == true { idsByMachine[node.machineKey] = nil }
        idByName[node.givenName] = nil
        for key in node.formerNodeKeys { machineByFormerKey[key] = nil }
    }
}
