import ControlPlane
import FoundationEssentials
import Logging
package import NIOCore
import Tailcfg
import WarrenCrypto
import WarrenModel

extension TailnetNode {
    /// How a registration ended.
    enum LoginEnd: Sendable { case loggedIn, refused, cancelled }

    /// Logs in while nothing else goes on; false when the task was cancelled.
    func logIn(_ client: ControlClient, withNewKey: Bool) async -> Bool {
        if status.state != .needsLogin || status.stateReason?.code == NodeReason.loggedOut.code { set(.starting) }
        guard await storeIdentity() else { return false }
        let key = identity.nodeKey.publicKey
        guard !withNewKey else { return await register(client, .startWithNewKey(replacing: key)) == .loggedIn }
        if identity.isRegistered, identity.candidateKey != nil, await takeUpRenewal(client) { return true }
        return await register(client, .start(storedKey: key)) == .loggedIn
    }

    /// Whether control accepted the key of a renewal that an earlier daemon did not live to see the end of.
    private func takeUpRenewal(_ client: ControlClient) async -> Bool {
        guard let candidate = identity.candidateKey?.publicKey else { return false }
        var backoff = Backoff()
        var generator = SystemRandomNumberGenerator()
        let attempt = Registration.Attempt(
            nodeKey: candidate,
            oldNodeKey: identity.nodeKey.publicKey,
            followup: ""
        )
        while !Task.isCancelled {
            switch await send(attempt, client, isRenewal: false) {
            case .answered(let response):
                let isFinal = response.error.isEmpty && !response.nodeKeyExpired && response.authURL.isEmpty
                guard isFinal else { return false }
                return await finishLogin(attempt, machineAuthorized: response.machineAuthorized, isRenewal: false)
            default:
                // A cancelled sleep ends the loop.
                try? await clock.sleep(for: backoff.next(using: &generator))
            }
        }
        return false
    }

    /// Replaces the key of a node that goes on meanwhile; false when it keeps the old one.
    func renewKey(_ client: ControlClient) async -> Bool {
        let key = identity.nodeKey.publicKey
        let end = await register(client, .startWithNewKey(replacing: key), isRenewal: true)
        if end == .refused {
            identity.candidateKey = nil
            isIdentityStored = false
            _ = await storeIdentity(wipingAuthKey: loginKey != nil)
            loginKey = nil
        }
        return end == .loggedIn
    }

    /// Drives a registration to its end; one that renews the key of a running node leaves its state alone and ends when refused.
    private func register(
        _ client: ControlClient,
        _ start: Registration.Event,
        isRenewal: Bool = false
    ) async -> LoginEnd {
        var registration = Registration()
        var generator = SystemRandomNumberGenerator()
        var asked = NodePublicKey.zero
        var actions = registration.handle(start, using: &generator)
        while !actions.isEmpty, !Task.isCancelled {
            switch actions.removeFirst() {
            case .makeKey:
                // The key of a login that was pending before is good for this one too.
                if identity.candidateKey == nil {
                    identity.candidateKey = NodePrivateKey()
                    isIdentityStored = false
                }
                guard await storeIdentity(), let key = identity.candidateKey else { return .cancelled }
                actions += registration.handle(.keyMade(key.publicKey), using: &generator)
            case .send(let attempt):
                asked = attempt.nodeKey
                let event = await send(attempt, client, isRenewal: isRenewal)
                actions += registration.handle(event, using: &generator)
            case .showAuthURL(let url):
                if asked == identity.nodeKey.publicKey, identity.isRegistered {
                    // Who is asked to log in again under the key that control had accepted is no longer known by it.
                    loginReason = loginReason ?? NodeReason.removed
                    identity.candidateKey = nil
                }
                show(url, isRenewal: isRenewal)
            case .refused(let text):
                let reason = loginKey == nil ? NodeReason.registrationRefused(text) : NodeReason.authKeyRejected(text)
                logger.warning("registration refused", metadata: ["reason": "\(text)"])
                guard !isRenewal else { return refuseRenewal(reason) }
                set(.needsLogin, reason)
            case .keyUnacceptable:
                guard !isRenewal else { return refuseRenewal(NodeReason.keyUnacceptable) }
                set(.needsLogin, NodeReason.keyUnacceptable)
            case .wait(let duration):
                // A cancelled sleep ends the loop above.
                try? await clock.sleep(for: duration)
                actions += registration.handle(.waited, using: &generator)
            case .loggedIn(let attempt, let machineAuthorized):
                let isDone = await finishLogin(attempt, machineAuthorized: machineAuthorized, isRenewal: isRenewal)
                return isDone ? .loggedIn : .cancelled
            }
        }
        return .cancelled
    }

    private func show(_ url: String, isRenewal: Bool) {
        logger.info("login needed", metadata: ["host": "\(LoginURL.masked(url))"])
        if isRenewal {
            renewalURL = url
            set(status.state, status.stateReason)
        } else {
            set(.needsLogin, loginReason, loginURL: url)
        }
    }

    /// The node keeps its old key and its state; the reason stands until the next change of the map.
    private func refuseRenewal(_ reason: StateReason) -> LoginEnd {
        renewalURL = nil
        set(status.state, reason)
        return .refused
    }

    private func send(
        _ attempt: Registration.Attempt,
        _ client: ControlClient,
        isRenewal: Bool
    ) async -> Registration.Event {
        var request = RegisterRequest(version: .current, nodeKey: attempt.nodeKey, hostinfo: hostinfo)
        request.oldNodeKey = attempt.oldNodeKey
        request.followup = attempt.followup
        request.authKey = loginKey?.reveal()
        request.ephemeral = configuration.isEphemeral
        do throws(ControlError) {
            let response = try await client.register(request)
            if response.nodeKeyExpired, identity.isRegistered { loginReason = NodeReason.keyExpired }
            if !isRenewal, attempt.followup.isEmpty, status.stateReason?.code == "control-unreachable" {
                set(status.state, loginReason, loginURL: status.loginUrl)
            }
            return .answered(response)
        } catch {
            if !Task.isCancelled {
                logger.debug("registration failed", metadata: ["error": "\(error)"])
                // A login URL that was shown stays good while the connection comes back.
                if !isRenewal {
                    set(status.state, NodeReason.controlUnreachable(error.brief), loginURL: status.loginUrl)
                }
            }
            return .failed(error)
        }
    }

    private func finishLogin(
        _ attempt: Registration.Attempt,
        machineAuthorized: Bool,
        isRenewal: Bool
    ) async -> Bool {
        let isNewKey = attempt.nodeKey == identity.candidateKey?.publicKey
        if isNewKey { identity.promoteCandidate() }
        identity.isRegistered = true
        isIdentityStored = false
        let wipesAuthKey = !configuration.isEphemeral && (authKey != nil || loginKey != nil)
        guard await storeIdentity(wipingAuthKey: wipesAuthKey) else { return false }
        // Control forgets an ephemeral node when it is away for long: its key lets it in again.
        authKey = configuration.isEphemeral ? loginKey ?? authKey : nil
        loginKey = authKey
        loginReason = nil
        renewalURL = nil
        if isNewKey { await useNodeKey() }
        logger.info("node logged in", metadata: ["node": "\(identity.nodeKey.publicKey.short)"])
        if isRenewal {
            set(status.state, status.stateReason)
        } else if machineAuthorized {
            set(.starting)
        } else {
            set(.needsMachineAuth, NodeReason.awaitingApproval)
        }
        return true
    }

    /// Commits the identity unless it is stored as it is; tries until it succeeds, false when the task was cancelled.
    func storeIdentity(wipingAuthKey: Bool = false) async -> Bool {
        while !isIdentityStored {
            let version = identityVersion
            do {
                try await commit(identity, wipingAuthKey)
                // Of two writes side by side either may come last: what changed meanwhile is written again.
                isIdentityStored = version == identityVersion
            } catch {
                guard !Task.isCancelled else { return false }
                logger.error("identity not stored", metadata: ["error": "\(error)"])
                set(status.state, NodeReason.notStored, loginURL: status.loginUrl)
                try? await clock.sleep(for: .seconds(5))  // Ends early when cancelled, which is checked next.
            }
            guard !Task.isCancelled || isIdentityStored else { return false }
        }
        return true
    }

    /// Gives the data plane the node key that was just stored.
    func useNodeKey() async {
        let key = identity.nodeKey
        await onPlane { $0.setNodeKey(key) }
    }

    /// Tells a control server that an identity is given up.
    ///
    /// - Throws: `ControlError` when the server could not be told; it is worth trying again.
    package static func logOut(
        _ identity: NodeIdentity,
        configuration: TailnetNodeConfiguration,
        eventLoop: any EventLoop
    ) async throws {
        let client = try Self.client(for: identity, configuration, eventLoop)
        do {
            // Control may have accepted a new key in the moment when the daemon died: then it knows no other.
            for key in [identity.nodeKey, identity.candidateKey].compactMap({ $0?.publicKey }) {
                try await client.logout(RegisterRequest(version: .current, nodeKey: key, hostinfo: Hostinfo()))
            }
            await client.close()
        } catch {
            await client.close()
            throw error
        }
    }

    /// A client that has not dialled yet.
    static func client(
        for identity: NodeIdentity,
        _ configuration: TailnetNodeConfiguration,
        _ eventLoop: any EventLoop
    ) throws(ControlError) -> ControlClient {
        let url = try ControlURL(configuration.controlURL)
        let base = configuration.dialPolicy
        return ControlClient(
            configuration: configuration.control(url, machineKey: identity.machineKey),
            eventLoop: eventLoop,
            dialPolicy: url.isLocal ? OneMachinePolicy(base: base) : base,
            logger: configuration.logger
        )
    }
}

extension ControlError {
    /// The cause in a few words, for a person.
    var brief: String {
        switch self {
        case .invalidURL: "the URL is not valid"
        case .plainHTTPRefused: "http is refused for this host"
        case .blockedByPolicy: "its address is refused by this host's policy"
        case .unreachable: "no connection"
        case .tlsFailed: "TLS failed"
        case .proxyUnreachable(let name): "the proxy \(name) does not answer"
        case .proxyRefused(let name, let status): "the proxy \(name) answered with \(status)"
        case .keyUnavailable: "it gave no usable key"
        case .upgradeRefused(let status): "it answered the upgrade with \(status)"
        case .handshakeFailed: "the handshake failed"
        case .invalidRecord: "it sent an invalid record"
        case .httpStatus(400, let detail) where detail.contains("unsupported client version"):
            "it supports newer clients only"
        case .httpStatus(let code, _): "it answered with status \(code)"
        case .rateLimited: "it asks to wait"
        case .malformedResponse: "its answer cannot be read"
        case .oversized: "its answer is too large"
        case .timedOut: "it did not answer in time"
        case .connectionClosed: "the connection ended"
        }
    }
}
