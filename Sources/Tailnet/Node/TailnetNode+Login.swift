import ControlPlane
import FoundationEssentials
import Logging
import Magicsock
package import NIOCore
import Tailcfg
import WarrenCrypto
import WarrenModel

extension TailnetNode {
    /// Logs in and follows the map, again and again, until the task is cancelled.
    func takePart(_ client: ControlClient) async {
        var needsNewKey = false
        // Never forgotten: a server that lets a node in and disowns it at once must not keep it busy, and honest ones do so rarely.
        var backoff = Backoff()
        var generator = SystemRandomNumberGenerator()
        while !Task.isCancelled {
            guard await logIn(client, withNewKey: needsNewKey) else { return }
            switch await followMap(client) {
            case .cancelled: return
            case .unknownNode: needsNewKey = false
            case .keyExpired: needsNewKey = true
            }
            // A cancelled sleep ends the loop above.
            try? await clock.sleep(for: backoff.next(using: &generator))
        }
    }

    /// Drives a registration to its end; false when the task was cancelled.
    private func logIn(_ client: ControlClient, withNewKey: Bool) async -> Bool {
        var registration = Registration()
        var generator = SystemRandomNumberGenerator()
        if status.state != .needsLogin { set(.starting) }
        guard await storeIdentity() else { return false }
        var actions: [Registration.Action]
        if withNewKey {
            actions = registration.handle(.startWithNewKey(replacing: identity.nodeKey.publicKey), using: &generator)
        } else {
            actions = registration.handle(
                .start(storedKey: identity.nodeKey.publicKey, oldKey: identity.oldNodeKey ?? .zero),
                using: &generator
            )
        }
        while !actions.isEmpty, !Task.isCancelled {
            switch actions.removeFirst() {
            case .makeKey:
                identity.renewNodeKey()
                isIdentityStored = false
                guard await storeIdentity() else { return false }
                await useNodeKey()
                actions += registration.handle(.keyMade(identity.nodeKey.publicKey), using: &generator)
            case .send(let attempt):
                let event = await send(attempt, client)
                actions += registration.handle(event, using: &generator)
            case .showAuthURL(let url):
                logger.info("login needed", metadata: ["host": "\(LoginURL.masked(url))"])
                set(.needsLogin, loginURL: url)
            case .refused(let text):
                let reason = authKey == nil ? NodeReason.registrationRefused(text) : NodeReason.authKeyRejected(text)
                logger.warning("registration refused", metadata: ["reason": "\(text)"])
                set(.needsLogin, reason)
            case .keyUnacceptable:
                set(.needsLogin, NodeReason.keyUnacceptable)
            case .wait(let duration):
                // A cancelled sleep ends the loop above.
                try? await clock.sleep(for: duration)
                actions += registration.handle(.waited, using: &generator)
            case .loggedIn(_, let machineAuthorized):
                return await finishLogin(machineAuthorized: machineAuthorized)
            }
        }
        return false
    }

    private func send(_ attempt: Registration.Attempt, _ client: ControlClient) async -> Registration.Event {
        var request = RegisterRequest(version: .current, nodeKey: attempt.nodeKey, hostinfo: hostinfo)
        request.oldNodeKey = attempt.oldNodeKey
        request.followup = attempt.followup
        request.authKey = authKey?.reveal()
        request.ephemeral = configuration.isEphemeral
        do throws(ControlError) {
            let response = try await client.register(request)
            if attempt.followup.isEmpty, status.stateReason?.code == "control-unreachable" {
                set(status.state, loginURL: status.loginUrl)
            }
            return .answered(response)
        } catch {
            if !Task.isCancelled {
                logger.debug("registration failed", metadata: ["error": "\(error)"])
                // A login URL that was shown stays good while the connection comes back.
                set(status.state, NodeReason.controlUnreachable(error.brief), loginURL: status.loginUrl)
            }
            return .failed(error)
        }
    }

    private func finishLogin(machineAuthorized: Bool) async -> Bool {
        identity.isRegistered = true
        identity.oldNodeKey = nil
        isIdentityStored = false
        let wipesAuthKey = !configuration.isEphemeral && authKey != nil
        guard await storeIdentity(wipingAuthKey: wipesAuthKey) else { return false }
        if wipesAuthKey { authKey = nil }
        logger.info("node logged in", metadata: ["node": "\(identity.nodeKey.publicKey.short)"])
        if machineAuthorized { set(.starting) } else { set(.needsMachineAuth, NodeReason.awaitingApproval) }
        return true
    }

    /// Commits the identity unless it is stored as it is; tries until it succeeds, false when the task was cancelled.
    private func storeIdentity(wipingAuthKey: Bool = false) async -> Bool {
        while !isIdentityStored {
            do {
                try await commit(identity, wipingAuthKey)
                isIdentityStored = true
            } catch {
                guard !Task.isCancelled else { return false }
                logger.error("identity not stored", metadata: ["error": "\(error)"])
                set(status.state, NodeReason.notStored)
                try? await clock.sleep(for: .seconds(5))  // Ends early when cancelled, which is checked next.
            }
            guard !Task.isCancelled || isIdentityStored else { return false }
        }
        return true
    }

    /// Gives the data plane the node key that was just stored.
    private func useNodeKey() async {
        let key = identity.nodeKey
        await onPlane { $0.setNodeKey(key) }
    }

    /// What the node says about its host.
    var hostinfo: Hostinfo {
        var info = Hostinfo()
        info.ipnVersion = "1.98.0-warren"
        // Only has to be stable and look like a log id; nothing is ever uploaded under it.
        info.backendLogID = String(identity.machineKey.publicKey.text.dropFirst(MachinePublicKey.textPrefix.count))
        info.os = "linux"
        info.hostname = preferences.hostname
        info.goArch = "amd64"
        info.app = "warren"
        info.userspace = true
        info.userspaceRouter = true
        info.netInfo = reachability.value?.netInfo
        return info
    }

    /// Tells a control server that an identity is given up.
    ///
    /// - Throws: `ControlError` when the server could not be told; it is worth trying again.
    package static func logOut(
        _ identity: NodeIdentity,
        configuration: TailnetNodeConfiguration,
        eventLoop: any EventLoop
    ) async throws {
        let url = try ControlURL(configuration.controlURL)
        let base = configuration.dialPolicy
        let client = ControlClient(
            configuration: configuration.control(url, machineKey: identity.machineKey),
            eventLoop: eventLoop,
            dialPolicy: url.isLocal ? OneMachinePolicy(base: base) : base,
            logger: configuration.logger
        )
        let request = RegisterRequest(version: .current, nodeKey: identity.nodeKey.publicKey, hostinfo: Hostinfo())
        do {
            try await client.logout(request)
            await client.close()
        } catch {
            await client.close()
            throw error
        }
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
