import ControlPlane
import FoundationEssentials
import Logging
import NetTypes
import Tailcfg
import WarrenCrypto
package import WarrenModel

/// What the owner of a node wants of its login.
enum NodeWish: Sendable {
    /// A fresh one, by this auth key or, with nil, by a person.
    case logIn(SecretText?)
    /// None any more.
    case logOut
}

extension TailnetNode {
    // MARK: What the owner says

    /// Takes other preferences; a node that runs applies them at once and interrupts nothing.
    package func update(preferences new: NodePreferences) async {
        guard new != preferences else { return }
        preferences = new
        if isPolling { await applyMap(now: ControlTime(Date())) }
        reachability.touch()
    }

    /// Begins a fresh login with a new key; a node that runs goes on under its old one until control accepts the new.
    package func logIn(authKey: SecretText?) {
        wish = .logIn(authKey)
        wishes.raise()
    }

    /// Gives the node's key up, and tells control so; returns when that is done, a few seconds at most without an answer.
    package func logOut() async {
        guard isTakingPart else {
            identity.logOut()
            isIdentityStored = false
            _ = await storeIdentity(wipingAuthKey: true)
            return
        }
        wish = .logOut
        wishes.raise()
        var version: Int64 = 0
        while !Task.isCancelled, !(identity.isLoggedOut && status.stateReason?.code == NodeReason.loggedOut.code) {
            version = await report(after: version).version
        }
    }

    // MARK: Taking part

    /// Logs in and follows the map, again and again, until the task is cancelled.
    func takePart(_ client: ControlClient) async {
        isTakingPart = true
        defer { isTakingPart = false }
        var renews = false
        // Never forgotten: a server that lets a node in and disowns it at once must not keep it busy, and honest ones do so rarely.
        var backoff = Backoff()
        var generator = SystemRandomNumberGenerator()
        while !Task.isCancelled {
            if let wish = takeWish() { renews = await begin(wish, client) }
            guard !identity.isLoggedOut else {
                if status.stateReason?.code != NodeReason.loggedOut.code { set(.needsLogin, NodeReason.loggedOut) }
                await wishes.wait(above: seenWishes)
                continue
            }
            let isRenewing = renews
            guard await unlessWished({ await self.logIn(client, withNewKey: isRenewing) }) == true else { continue }
            renews = false
            var end = MapEnd.rekeyed
            while end == .rekeyed { end = await followMap(client) }
            switch end {
            case .cancelled: return
            case .rekeyed, .wished: continue
            case .unknownNode: loginReason = NodeReason.removed
            case .keyExpired:
                loginReason = NodeReason.keyExpired
                renews = true
            }
            loginKey = authKey
            // A cancelled sleep ends the loop above.
            try? await clock.sleep(for: backoff.next(using: &generator))
        }
    }

    /// The wish that nobody took yet; later ones have replaced earlier ones.
    func takeWish() -> NodeWish? {
        seenWishes = wishes.level
        defer { wish = nil }
        return wish
    }

    /// Does something for as long as the owner wishes nothing else; nil when it was given up.
    func unlessWished<Value: Sendable>(_ body: @escaping @Sendable () async -> Value) async -> Value? {
        let (wishes, seen) = (wishes, seenWishes)
        return await withTaskGroup(of: Value?.self) { group in
            group.addTask { await body() }
            group.addTask {
                await wishes.wait(above: seen)
                return nil
            }
            let first = await group.next() ?? nil
            group.cancelAll()
            return first
        }
    }

    /// Prepares for what the owner wishes; whether a login with a new key is to follow.
    private func begin(_ wish: NodeWish, _ client: ControlClient) async -> Bool {
        switch wish {
        case .logIn(let key):
            beginLogin(with: key)
            identity.isLoggedOut = false
            set(.starting)
            return identity.isRegistered
        case .logOut:
            await giveUpKey(client)
            return false
        }
    }

    /// Forgets an unfinished login, so that the next begins with a key of its own.
    func beginLogin(with key: SecretText?) {
        loginKey = key
        loginReason = nil
        renewalURL = nil
        if identity.candidateKey != nil || !identity.isRegistered {
            identity.candidateKey = nil
            isIdentityStored = false
        }
    }

    /// Why control could not be told, or nil; ten seconds at the most, because somebody waits.
    private static func tellOfLogout(_ request: RegisterRequest, _ client: ControlClient) async -> String? {
        await withTaskGroup(of: String?.self) { group in
            group.addTask {
                do throws(ControlError) {
                    try await client.logout(request)
                    return nil
                } catch { return error.brief }
            }
            group.addTask {
                // Cancelled by the answer.
                try? await ContinuousClock().sleep(for: .seconds(10))
                return ControlError.timedOut.brief
            }
            let first = await group.next() ?? nil
            group.cancelAll()
            return first
        }
    }

    private func giveUpKey(_ client: ControlClient) async {
        await onPlane { $0.apply(nil) }
        var reason = NodeReason.loggedOut
        if identity.isRegistered {
            let request = RegisterRequest(version: .current, nodeKey: identity.nodeKey.publicKey, hostinfo: hostinfo)
            if let failure = await Self.tellOfLogout(request, client) {
                logger.warning("control not told of the logout", metadata: ["reason": "\(failure)"])
                reason = NodeReason.loggedOutUntold(failure)
            }
        }
        identity.logOut()
        isIdentityStored = false
        (authKey, loginKey, renewalURL, browserURL, loginReason) = (nil, nil, nil, nil, nil)
        forgetMap()
        note(nil)
        // What is not stored would come back with the daemon: it is tried until it is.
        guard await storeIdentity(wipingAuthKey: true) else { return }
        await useNodeKey()
        logger.info("node logged out")
        change { status in
            status.addresses = []
            (status.dnsName, status.nodeId, status.tailnet, status.keyExpiry) = (nil, nil, nil, nil)
            status.peerCount = 0
            status.health = []
        }
        set(.needsLogin, reason)
    }
}
