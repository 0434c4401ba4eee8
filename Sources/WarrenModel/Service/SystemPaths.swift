/// Where things are by default, for this user and environment.
package struct SystemPaths: Sendable {
    /// The configuration file that is read when none is named and it exists.
    package static let configurationFile = "/etc/warren/warrend.yaml"

    private let isRoot: Bool
    private let environment: [String: String]

    /// Looks at the given user and environment.
    package init(isRoot: Bool, environment: [String: String]) {
        self.isRoot = isRoot
        self.environment = environment
    }

    /// `/var/lib/warren` for root, else `$XDG_STATE_HOME/warren` or `~/.local/state/warren`.
    package var stateDirectory: String {
        if isRoot { return "/var/lib/warren" }
        if let state = absolute("XDG_STATE_HOME") { return state + "/warren" }
        return (absolute("HOME") ?? "/tmp") + "/.local/state/warren"
    }

    /// `/run/warren/warrend.sock` for root, else below `$XDG_RUNTIME_DIR`, else in the state directory.
    package func unixSocket(stateDirectory: String) -> String {
        if isRoot { return "/run/warren/warrend.sock" }
        if let runtime = absolute("XDG_RUNTIME_DIR") { return runtime + "/warren/warrend.sock" }
        return stateDirectory + "/warrend.sock"
    }

    // The base directory specification says that relative values are to be ignored.
    private func absolute(_ variable: String) -> String? {
        guard let value = environment[variable], value.hasPrefix("/") else { return nil }
        return value.count > 1 && value.hasSuffix("/") ? String(value.dropLast()) : value
    }
}
