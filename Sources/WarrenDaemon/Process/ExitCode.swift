/// What `warrend` tells the one who started it (sysexits.h).
package enum ExitCode: Int32, Sendable, CaseIterable {
    /// Everything was finished in order.
    case success = 0
    /// The command line makes no sense (EX_USAGE).
    case usage = 64
    /// A fault of the daemon itself (EX_SOFTWARE).
    case internalError = 70
    /// State cannot be created or a port not be bound (EX_CANTCREAT).
    case cannotCreate = 73
    /// Another daemon holds the state directory (EX_TEMPFAIL).
    case alreadyRunning = 75
    /// The configuration or the database cannot be used (EX_CONFIG).
    case configuration = 78
}
