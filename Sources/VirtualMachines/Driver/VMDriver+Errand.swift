import Logging
import NetTypes
package import Store
import Tailnet
import WarrenCrypto
package import WarrenModel

/// Something that a user asks of a VM beside its lifecycle, done by the driver's one task in its turn.
struct VMErrand: Sendable {
    /// Does it, and answers who waits.
    let run: @Sendable (isolated VMDriver) async -> Void
    /// Tells who waits that it will not be done.
    let refuse: @Sendable (VMError) -> Void
}

extension VMDriver {
    // MARK: - What the VM is to be

    /// Changes the spec by a merge patch; returns once that is written, and done as far as it can be done at once.
    package func edit(
        _ patch: VMPatch,
        expecting generation: Int64?
    ) async -> Result<VMRegistry.Created, VMError> {
        await errand { driver in await driver.applyEdit(patch, expecting: generation) }
    }

    private func applyEdit(
        _ patch: VMPatch,
        expecting generation: Int64?
    ) async -> Result<VMRegistry.Created, VMError> {
        do throws(VMError) {
            if let generation, generation != record.status.generation { throw .changedMeanwhile }
            guard record.status.state != .deleting else { throw .notFound("\(id)") }
            let (old, secrets) = (record.spec, try await secrets())
            let outcome = try outcome(of: patch, secrets)
            let new = outcome.spec
            guard new != old || outcome.callbacks != secrets.callbacks else {
                return .success(VMRegistry.Created(record: record, madeSecrets: [:]))
            }
            let fixed = VMDriver.fixedWhileRunning(old, new)
            guard fixed.isEmpty || record.status.state == .stopped || record.status.state == .failed else {
                throw .notStopped(record.status.state, members: fixed)
            }
            try await write(
                outcome,
                movesToOtherControl: old.networkInterface?.control != new.networkInterface?.control
            )
            lifecycle.restart = new.restart
            if let interface = new.networkInterface, interface != old.networkInterface {
                let preferences = NodePreferences(hostname: interface.hostname.text, interface.preferences)
                await node?.update(preferences: preferences)
            }
            let made = outcome.made.map { ($0, outcome.callbacks[$0]?.signingSecret) }
            return .success(
                VMRegistry.Created(
                    record: record,
                    madeSecrets: Dictionary(made.compactMap { kind, secret in secret.map { (kind, $0) } }) { $1 }
                )
            )
        } catch { return .failure(error) }
    }

    private func outcome(of patch: VMPatch, _ secrets: VMSecrets) throws(VMError) -> VMPatch.Outcome {
        var generator = SecureRandomNumberGenerator()
        do throws(ValidationFailure) {
            let outcome = try patch.applied(
                to: record.spec,
                secrets,
                limits: host.limits.perVM,
                defaults: host.limits.defaults,
                using: &generator
            )
            let faults = host.faults(of: outcome.spec)
            if !faults.isEmpty { throw patch.pointed(ValidationFailure(faults)) }
            return outcome
        } catch { throw .invalidSpec(error.errors) }
    }

    private func write(_ outcome: VMPatch.Outcome, movesToOtherControl: Bool) async throws(VMError) {
        let now = host.now
        do throws(StoreError) {
            adopt(
                try await host.database.editVM(id, givingUpIdentity: movesToOtherControl, now: now) { record, secrets in
                    record.spec = outcome.spec
                    secrets.callbacks = outcome.callbacks
                    guard movesToOtherControl else { return }
                    // An auth key is for the server that made it.
                    secrets.authKey = nil
                    record.spec.networkInterface?.hasAuthKey = false
                    record.status.network = NetworkStatus(state: .stopped, since: now)
                }
            )
        } catch { throw VMError(error) }
        logger.info("spec changed", metadata: ["generation": "\(record.status.generation)"])
        changes.raise()
    }

    /// The members that differ and that a guest, or a node, takes up only when it starts.
    private static func fixedWhileRunning(_ old: VMSpec, _ new: VMSpec) -> [String] {
        let (oldNetwork, newNetwork) = (old.networkInterface, new.networkInterface)
        let differences: [(String, Bool)] = [
            ("image", old.image != new.image), ("cpus", old.cpus != new.cpus),
            ("memoryMiB", old.memoryMiB != new.memoryMiB), ("kernelArgs", old.kernelArgs != new.kernelArgs),
            ("networkInterface.controlUrl", oldNetwork?.control != newNetwork?.control),
            ("networkInterface.ephemeral", oldNetwork?.isEphemeral != newNetwork?.isEphemeral),
            ("networkInterface.transport", oldNetwork?.preferences.transport != newNetwork?.preferences.transport),
        ]
        return differences.filter(\.1).map(\.0)
    }

    private func secrets() async throws(VMError) -> VMSecrets {
        do throws(StoreError) { return try await host.database.secrets(of: id) } catch { throw VMError(error) }
    }

    // MARK: - Its node

    /// Has the node log in afresh, by this auth key or by a person.
    package func logIn(authKey: SecretText?) async -> Result<VMRecord, VMError> {
        await errand { driver in await driver.beginLogin(authKey: authKey) }
    }

    private func beginLogin(authKey: SecretText?) async -> Result<VMRecord, VMError> {
        do throws(VMError) {
            let (node, interface) = try runningNode()
            // The key of an ephemeral node is kept as long as the VM is; any other is good for the login it was given for.
            if authKey != nil || !interface.isEphemeral { try await save(authKey) }
            await node.logIn(authKey: authKey)
            return .success(record)
        } catch { return .failure(error) }
    }

    private func save(_ authKey: SecretText?) async throws(VMError) {
        do throws(StoreError) {
            adopt(try await host.database.saveAuthKey(authKey, of: id, now: host.now))
        } catch { throw VMError(error) }
    }

    /// Has the node give up its key; returns when it did.
    package func logOut() async -> Result<VMRecord, VMError> {
        await errand { driver in
            do throws(VMError) {
                let (node, _) = try driver.runningNode()
                await node.logOut()
                return .success(driver.record)
            } catch { return .failure(error) }
        }
    }

    /// Asks a peer for signs of life; waits for nothing else that the driver does.
    package func ping(_ request: NetworkPingRequest) async throws(VMError) -> NetworkPingAnswer {
        let (node, _) = try runningNode()
        do throws(TailnetNode.PingRefusal) {
            return try await node.ping(request)
        } catch {
            switch error {
            case .notRunning: throw .networkNotRunning("\(record.spec.name)")
            case .noSuchPeer: throw .peerNotFound(request.peer)
            }
        }
    }

    private func runningNode() throws(VMError) -> (any VMNode, NetworkInterfaceSpec) {
        guard let interface = record.spec.networkInterface else { throw .noNetwork("\(record.spec.name)") }
        guard let node else { throw .networkNotRunning("\(record.spec.name)") }
        return (node, interface)
    }
}
