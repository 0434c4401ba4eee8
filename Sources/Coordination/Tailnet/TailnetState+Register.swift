package import Tailcfg
package import WarrenCrypto

/// What a register request comes to.
package enum RegisterDecision: Hashable, Sendable {
    /// Refuse with this text, which the user reads.
    case refuse(String)
    /// End the node's key now; nil for a key that nobody holds.
    case logOut(NodeID?)
    /// Bring the end of the key forward.
    case limitExpiry(NodeID, ControlTime)
    /// The node is known and good.
    case known(NodeID)
    /// Make or renew the node by this auth key.
    case enrol(authKeyID: String)
    /// Tell the client that its key has ended.
    case keyExpired
    /// Wait for this login.
    case awaitLogin(String)
    /// Answer with a login URL, that of the machine and key if there is one.
    case startLogin
}

/// What became of a node when it was let in.
package struct Enrolment: Hashable, Sendable {
    /// The node now.
    package let node: NodeRecord
    /// The key it had before, if it changed.
    package let retiredKey: NodePublicKey?
    /// Whether it did not exist before.
    package let isNew: Bool
}

extension TailnetState {
    /// Decides about a register request; changes nothing.
    package func decide(
        _ request: RegisterRequest,
        from machineKey: MachinePublicKey,
        now: ControlTime
    ) -> RegisterDecision {
        guard !request.nodeKey.isZero else { return .refuse("node key missing") }
        guard request.version >= .minimum else { return .refuse(Self.unsupported(request.version)) }
        if let owner = machine(boundTo: request.nodeKey), owner != machineKey { return .refuse("node key in use") }

        let node = node(withKey: request.nodeKey)
        if !request.expiry.isZero, request.expiry <= now { return .logOut(node?.id) }
        if let node, !node.isExpired(at: now) {
            guard request.expiry.isZero else {
                let isLater = !node.keyExpiry.isZero && request.expiry > node.keyExpiry
                return isLater ? .refuse("extending key is not allowed") : .limitExpiry(node.id, request.expiry)
            }
            return .known(node.id)
        }
        if let text = request.authKey, !text.isEmpty {
            switch verdict(on: text, from: machineKey, now: now) {
            case .refused(let reason): return .refuse(reason)
            case .accepted(let id):
                if let reason = refusal(of: request.hostinfo?.requestTags ?? [], keyTags: authKeys[id]?.tags ?? []) {
                    return .refuse(reason)
                }
                return .enrol(authKeyID: id)
            }
        }
        if request.followup.isEmpty { return node == nil ? .startLogin : .keyExpired }
        return awaitedLogin(request, from: machineKey, now: now).map { .awaitLogin($0) } ?? .startLogin
    }

    /// What an old client is told.
    static func unsupported(_ version: CapabilityVersion) -> String {
        "unsupported client version \(version); need 1.82 or newer"
    }

    /// Makes or renews the node of a machine by an auth key.
    package mutating func enrol(
        _ request: RegisterRequest,
        from machineKey: MachinePublicKey,
        authKeyID: String,
        now: ControlTime
    ) throws(CoordinationError) -> Enrolment {
        guard let key = authKeys[authKeyID] else { throw .authKeyNotFound }
        let enrolment = try enrol(
            request,
            from: machineKey,
            tags: key.tags.isEmpty ? request.hostinfo?.requestTags ?? [] : key.tags,
            isEphemeral: key.isEphemeral || request.ephemeral,
            isApproved: key.isPreapproved,
            authKeyID: authKeyID,
            now: now
        )
        markUsed(authKeyID, by: enrolment.node, now: now)
        return enrolment
    }

    /// Makes the node of a machine, or gives its node of the same owner a new key.
    mutating func enrol(
        _ request: RegisterRequest,
        from machineKey: MachinePublicKey,
        tags: [String],
        isEphemeral: Bool,
        isApproved: Bool,
        authKeyID: String?,
        now: ControlTime
    ) throws(CoordinationError) -> Enrolment {
        let hostinfo = (request.hostinfo ?? Hostinfo()).bounded
        let keyExpiry = keyExpiry(wish: request.expiry, isPermanent: !tags.isEmpty || isEphemeral, now: now)
        guard let existing = existingNode(for: request, of: machineKey, isTagged: !tags.isEmpty) else {
            let name = GivenName.unique(GivenName.label(for: hostinfo.hostname)) { isTaken($0, by: nil) }
            let takesPart = isApproved || !rules.approvesDevices
            let node = try insert(now: now) { id, addresses in
                var node = NodeRecord(
                    id: id,
                    machineKey: machineKey,
                    nodeKey: request.nodeKey,
                    user: tags.isEmpty ? CoordinationConstants.soleUser : CoordinationConstants.taggedUser,
                    tags: tags,
                    givenName: name,
                    ipv4: addresses.ipv4,
                    ipv6: addresses.ipv6,
                    hostinfo: hostinfo,
                    capabilityVersion: request.version,
                    created: now,
                    lastSeen: now,
                    keyExpiry: keyExpiry,
                    isEphemeral: isEphemeral,
                    authKeyID: authKeyID
                )
                node.homeDERP = hostinfo.netInfo?.preferredDERP ?? .none
                node.isApproved = takesPart
                return node
            }
            approveByPolicy(node.id)
            return Enrolment(node: nodes[node.id] ?? node, retiredKey: nil, isNew: true)
        }
        let name = renamed(existing, to: hostinfo)
        update(existing.id) { node in
            node.replaceNodeKey(request.nodeKey)
            node.tags = tags
            node.user = tags.isEmpty ? CoordinationConstants.soleUser : CoordinationConstants.taggedUser
            node.isApproved = node.isApproved || isApproved
            node.givenName = name
            node.takeHostinfo(hostinfo)
            node.capabilityVersion = request.version
            node.keyExpiry = keyExpiry
            node.isEphemeral = isEphemeral
            node.authKeyID = authKeyID
            node.lastSeen = now
        }
        approveByPolicy(existing.id, offeredBefore: existing.hostinfo.routableIPs)
        let retired = existing.nodeKey == request.nodeKey ? nil : existing.nodeKey
        return Enrolment(node: nodes[existing.id] ?? existing, retiredKey: retired, isNew: false)
    }

    private func existingNode(
        for request: RegisterRequest,
        of machineKey: MachinePublicKey,
        isTagged: Bool
    ) -> NodeRecord? {
        // The keys say which node is meant even when its tags change with this login: id and addresses stay.
        let candidates = nodes(of: machineKey)
        return candidates.first { $0.nodeKey == request.nodeKey || $0.nodeKey == request.oldNodeKey }
            ?? candidates.first { $0.isTagged == isTagged }
    }

    func keyExpiry(wish: ControlTime, isPermanent: Bool, now: ControlTime) -> ControlTime {
        guard !isPermanent else { return .zero }
        let ruled = rules.nodeKeyLifetimeSeconds.map { now.adding(seconds: $0) } ?? .zero
        if wish.isZero { return ruled }
        return ruled.isZero ? wish : min(ruled, wish)
    }

    /// The label a node has after it said something new about its host.
    func renamed(_ node: NodeRecord, to hostinfo: Hostinfo) -> String {
        let label = GivenName.label(for: hostinfo.hostname)
        guard !node.isNameSetByAdministrator, label != GivenName.label(for: node.hostinfo.hostname) else {
            return node.givenName
        }
        return GivenName.unique(label) { isTaken($0, by: node.id) }
    }

    /// Ends a node's key now; an ephemeral node is removed by the caller instead.
    mutating func expire(_ id: NodeID, at time: ControlTime) -> NodeRecord? {
        update(id) { $0.keyExpiry = time }
    }
}
