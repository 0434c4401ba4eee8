import WarrenModel

/// Who asks.
struct Principal: Sendable, Equatable {
    /// Names the one who asks, for idempotency and logs.
    let name: String
    /// What the one who asks may do.
    let scopes: Set<APIScope>
    /// The only VM that may be touched, or nil.
    let boundVM: VMID?

    /// One who came by the Unix socket: its file mode is the check.
    static let unixSocket = Principal(name: "unix-socket", scopes: [.admin], boundVM: nil)

    /// Whether a scope covers what needs `scope`.
    func allows(_ scope: APIScope) -> Bool { scopes.contains { $0.covers(scope) } }

    /// A login URL is as good as a credential.
    var seesLoginURLs: Bool { allows(.networkWrite) }
}
