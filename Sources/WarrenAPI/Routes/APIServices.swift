package import Store
package import VirtualMachines
package import WarrenModel

/// What the routes work with; made once by the daemon.
package struct APIServices: Sendable {
    /// VMs, events, tokens and remembered answers.
    package let database: WarrenDatabase
    /// What VMs are told to do.
    package let vms: any VMService
    /// The embedded coordination server, when it is enabled.
    package let tailnet: (any TailnetService)?
    /// What this host allows at most.
    package let limits: ServiceLimits
    /// How long a guest may take to stop when a request does not say.
    package let stopTimeout: Duration
    /// What this host is.
    package let description: @Sendable () async -> ServiceDescription
    /// The checks behind `readyz`.
    package let checks: @Sendable () async -> [HealthAnswer.Check]

    /// Joins the parts.
    package init(
        database: WarrenDatabase,
        vms: any VMService,
        tailnet: (any TailnetService)?,
        limits: ServiceLimits,
        stopTimeout: Duration,
        description: @escaping @Sendable () async -> ServiceDescription,
        checks: @escaping @Sendable () async -> [HealthAnswer.Check]
    ) {
        self.database = database
        self.vms = vms
        self.tailnet = tailnet
        self.limits = limits
        self.stopTimeout = stopTimeout
        self.description = description
        self.checks = checks
    }

    /// What one VM may ask for.
    var vmLimits: VMLimits {
        VMLimits(maxMemoryMiB: limits.maxMemoryMiBPerVM, maxCPUs: limits.maxCPUsPerVM)
    }
}

/// What the API asks of VMs: `VMRegistry`, as far as routes see it.
package protocol VMService: Sendable {
    /// Records a VM and starts it when it asks for that.
    func create(_ request: CreateVMRequest) async throws(VMError) -> VMRegistry.Created
    /// Starts, stops, restarts or deletes a VM; `generation` is one that its spec must have.
    func perform(
        _ request: LifecycleRequest,
        on reference: String,
        expecting generation: Int64?
    ) async throws(VMError) -> VMDriver.Transition
    /// Runs a program in a guest.
    func exec(_ request: ExecRequest, in reference: String) async throws(VMError) -> ExecAnswer
    /// The end of what a guest wrote to its console.
    func consoleLog(of reference: String, tail: Int) async throws(VMError) -> [UInt8]
    /// Changes what a VM is to be.
    func edit(
        _ patch: VMPatch,
        of reference: String,
        expecting generation: Int64?
    ) async throws(VMError) -> VMRegistry.Created
    /// Has a VM's node log in afresh.
    func logIn(_ request: NetworkLoginRequest, of reference: String) async throws(VMError) -> VMRecord
    /// Has a VM's node give up its key.
    func logOut(of reference: String) async throws(VMError) -> VMRecord
    /// Has a VM's node ask a peer for signs of life.
    func ping(_ request: NetworkPingRequest, from reference: String) async throws(VMError) -> NetworkPingAnswer
    /// Everything about a VM's node.
    func network(of reference: String) async throws(VMError) -> NetworkDetail
    /// Waits until a VM is as `condition` says, or it is clear that it will not be.
    func wait(for condition: VMCondition, of reference: String, timeout: Duration) async throws(VMError) -> WaitAnswer
}

extension VMRegistry: VMService {}

/// What the API asks of the embedded coordination server.
package protocol TailnetService: Sendable {
    /// Makes an auth key; only this answer shows it.
    func createAuthKey(_ request: CreateAuthKeyRequest) async throws -> AuthKeyAnswer
    /// All auth keys, without their texts.
    func authKeys() async throws -> [AuthKeyAnswer]
    /// Takes an auth key back.
    func revokeAuthKey(_ id: String) async throws
    /// All nodes.
    func nodes() async throws -> [TailnetNodeAnswer]
    /// A node by its id or its name.
    func node(_ reference: String) async throws -> TailnetNodeAnswer
    /// Changes what an administrator decides about a node.
    func patchNode(_ reference: String, _ patch: PatchTailnetNodeRequest) async throws -> TailnetNodeAnswer
    /// Lets a node take part.
    func approveNode(_ reference: String) async throws -> TailnetNodeAnswer
    /// Ends a node's key now.
    func expireNode(_ reference: String) async throws -> TailnetNodeAnswer
    /// Sets which routes a node may serve.
    func approveRoutes(_ reference: String, _ request: ApproveRoutesRequest) async throws -> TailnetNodeAnswer
    /// Removes a node.
    func deleteNode(_ id: String) async throws
    /// The logins that wait for a person.
    func logins() async throws -> [TailnetLoginAnswer]
    /// Lets the node of a login in.
    func approveLogin(_ id: String) async throws
    /// Refuses a login.
    func denyLogin(_ id: String) async throws
    /// The policy, and the number of its version.
    func policy() async throws -> (document: JSONTree, revision: Int64)
    /// Finds every fault in a policy, and changes nothing.
    func checkPolicy(_ document: JSONTree) async throws
    /// Puts a policy in force in place of the version `revision`, or of any, and gives the number of its version.
    func setPolicy(_ document: JSONTree, replacing revision: Int64?) async throws -> Int64
    /// What nodes are told about DNS.
    func dns() async throws -> TailnetDNS
    /// Sets what nodes are told about DNS; nil = what the configuration says.
    func setDNS(_ dns: TailnetDNS?) async throws -> TailnetDNS
}
