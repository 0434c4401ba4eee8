package import WarrenModel

/// How a run of QEMU ended, as its shim wrote it down.
package struct VMExit: Hashable, Sendable {
    /// QEMU's exit code; nil when a signal ended it or nobody saw the end.
    package var exitCode: Int?
    /// The signal that ended QEMU.
    package var signal: Int?
    /// Why QEMU shut down, in its own words (`guest-shutdown`, `guest-reset`, `guest-panic`, `host-qmp-quit`, …).
    package var reason: String?
    /// Whether the guest reported a panic.
    package var panicked: Bool
    /// What the shim had been asked for: `kill`, `terminate` or nothing.
    package var requested: String?
    /// How long QEMU ran.
    package var duration: Duration
    /// When it ended, in milliseconds since 1970; nil when nobody saw it.
    package var endedAtMilliseconds: Int64?
    /// Processor time of QEMU.
    package var processorTime: Duration
    /// The most memory it had resident.
    package var maxResidentKiB: Int
    /// The end of QEMU's error output.
    package var standardError: String

    /// An end that nobody saw: the shim was killed, or the machine went down.
    package static let unseen = VMExit(
        exitCode: nil,
        signal: nil,
        reason: nil,
        panicked: false,
        requested: nil,
        duration: .zero,
        endedAtMilliseconds: nil,
        processorTime: .zero,
        maxResidentKiB: 0,
        standardError: ""
    )

    /// What an end means.
    package enum Cause: Hashable, Sendable {
        /// The guest powered itself off.
        case guestPoweredOff
        /// The guest reset the machine.
        case guestReset
        /// The guest's kernel panicked.
        case guestPanicked
        /// Someone outside the guest ended it: the monitor, or the shim by order or by signal.
        case requested
        /// QEMU failed.
        case failed
        /// Nobody saw it.
        case unseen
    }

    /// What this end means.
    package var cause: Cause {
        if panicked || reason == "guest-panic" { return .guestPanicked }
        if requested != nil || reason == "host-qmp-quit" { return .requested }
        switch (exitCode, reason) {
        case (0, "guest-shutdown"): return .guestPoweredOff
        case (0, "guest-reset"): return .guestReset
        case (0, "host-signal"): return .requested
        case (nil, _) where signal == nil: return .unseen
        default: return .failed
        }
    }

    /// One sentence for people.
    package var summary: String {
        let words = standardError.split(separator: "\n").last.map { ": \($0)" } ?? ""
        return switch cause {
        case .guestPoweredOff: "The guest powered itself off."
        case .guestReset: "The guest rebooted."
        case .guestPanicked: "The guest's kernel panicked."
        case .requested: "QEMU was stopped from outside the guest."
        case .unseen: "QEMU and its shim are gone without a report."
        case .failed:
            if let signal {
                "QEMU was ended by signal \(signal)\(words)."
            } else {
                "QEMU ended with code \(exitCode ?? -1)\(words)."
            }
        }
    }

    /// Reads the shim's report.
    package init?(report: JSONTree) {
        guard report["event"]?.string == "exited", let started = report["startedAtMs"]?.integer,
            let ended = report["endedAtMs"]?.integer
        else { return nil }
        exitCode = report["exitCode"]?.integer.map(Int.init)
        signal = report["signal"]?.integer.map(Int.init)
        reason = report["reason"]?.string
        panicked = report["panicked"]?.bool ?? false
        requested = report["requested"]?.string
        duration = .milliseconds(max(0, ended - started))
        endedAtMilliseconds = ended
        processorTime = .milliseconds((report["userMs"]?.integer ?? 0) + (report["systemMs"]?.integer ?? 0))
        maxResidentKiB = Int(report["maxRSSKiB"]?.integer ?? 0)
        standardError = report["stderr"]?.string ?? ""
    }

    /// Joins the parts.
    package init(
        exitCode: Int?,
        signal: Int?,
        reason: String?,
        panicked: Bool,
        requested: String?,
        duration: Duration,
        endedAtMilliseconds: Int64?,
        processorTime: Duration,
        maxResidentKiB: Int,
        standardError: String
    ) {
        self.exitCode = exitCode
        self.signal = signal
        self.reason = reason
        self.panicked = panicked
        self.requested = requested
        self.duration = duration
        self.endedAtMilliseconds = endedAtMilliseconds
        self.processorTime = processorTime
        self.maxResidentKiB = maxResidentKiB
        self.standardError = standardError
    }
}
