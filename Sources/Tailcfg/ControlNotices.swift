/// Addresses to try before DNS when control is dialled next.
package struct ControlDialPlan: Hashable, Sendable {
    /// The addresses.
    package var candidates: [Candidate]

    /// A plan of `candidates`.
    package init(candidates: [Candidate] = []) { self.candidates = candidates }

    /// One way to control.
    package struct Candidate: Hashable, Sendable {
        /// The address as text; empty when `aceHost` stands alone.
        package var ip = ""
        /// A host that forwards to control.
        package var aceHost = ""
        /// Seconds to wait before this candidate is dialled.
        package var dialStartDelaySeconds = 0.0
        /// Seconds until the dial has failed.
        package var dialTimeoutSeconds = 0.0
        /// Higher wins among candidates that answered.
        package var priority = 0

        /// A candidate without anything.
        package init() {}
    }
}

extension ControlDialPlan: Codable {
    private enum CodingKeys: String, CodingKey { case candidates = "Candidates" }

    /// Reads the object.
    package init(from decoder: any Decoder) throws {
        candidates = try decoder.container(keyedBy: CodingKeys.self).list(.candidates)
    }

    /// Writes the object.
    package func encode(to encoder: any Encoder) throws {
        var members = encoder.container(keyedBy: CodingKeys.self)
        try members.encode(candidates, forKey: .candidates)
    }
}

extension ControlDialPlan.Candidate: Codable {
    private enum CodingKeys: String, CodingKey {
        case ip = "IP"
        case aceHost = "ACEHost"
        case dialStartDelaySeconds = "DialStartDelaySec"
        case dialTimeoutSeconds = "DialTimeoutSec"
        case priority = "Priority"
    }

    /// Reads the object.
    package init(from decoder: any Decoder) throws {
        let members = try decoder.container(keyedBy: CodingKeys.self)
        ip = try members.text(.ip)
        aceHost = try members.text(.aceHost)
        dialStartDelaySeconds = try members.value(.dialStartDelaySeconds, or: 0)
        dialTimeoutSeconds = try members.value(.dialTimeoutSeconds, or: 0)
        priority = try members.value(.priority, or: 0)
    }

    /// Writes the object without its zero members.
    package func encode(to encoder: any Encoder) throws {
        var members = encoder.container(keyedBy: CodingKeys.self)
        try members.encode(unlessEmpty: ip, forKey: .ip)
        try members.encode(unlessEmpty: aceHost, forKey: .aceHost)
        try members.encode(dialStartDelaySeconds, unless: 0, forKey: .dialStartDelaySeconds)
        try members.encode(dialTimeoutSeconds, unless: 0, forKey: .dialTimeoutSeconds)
        try members.encode(priority, unless: 0, forKey: .priority)
    }
}

/// What control knows about newer client versions; informational.
package struct ClientVersion: Hashable, Sendable {
    /// Whether the client is up to date.
    package var runningLatest = false
    /// The newest version.
    package var latestVersion = ""
    /// Whether the update is urgent.
    package var urgentSecurityUpdate = false
    /// Whether to tell the user.
    package var notify = false
    /// Where to read more.
    package var notifyURL = ""
    /// What to tell.
    package var notifyText = ""

    /// Nothing known.
    package init() {}
}

extension ClientVersion: Codable {
    private enum CodingKeys: String, CodingKey {
        case runningLatest = "RunningLatest"
        case latestVersion = "LatestVersion"
        case urgentSecurityUpdate = "UrgentSecurityUpdate"
        case notify = "Notify"
        case notifyURL = "NotifyURL"
        case notifyText = "NotifyText"
    }

    /// Reads the object.
    package init(from decoder: any Decoder) throws {
        let members = try decoder.container(keyedBy: CodingKeys.self)
        runningLatest = try members.flag(.runningLatest)
        latestVersion = try members.text(.latestVersion)
        urgentSecurityUpdate = try members.flag(.urgentSecurityUpdate)
        notify = try members.flag(.notify)
        notifyURL = try members.text(.notifyURL)
        notifyText = try members.text(.notifyText)
    }

    /// Writes the object without its zero members.
    package func encode(to encoder: any Encoder) throws {
        var members = encoder.container(keyedBy: CodingKeys.self)
        try members.encode(ifTrue: runningLatest, forKey: .runningLatest)
        try members.encode(unlessEmpty: latestVersion, forKey: .latestVersion)
        try members.encode(ifTrue: urgentSecurityUpdate, forKey: .urgentSecurityUpdate)
        try members.encode(ifTrue: notify, forKey: .notify)
        try members.encode(unlessEmpty: notifyURL, forKey: .notifyURL)
        try members.encode(unlessEmpty: notifyText, forKey: .notifyText)
    }
}

/// Instructions of control to the client process ("Debug").
package struct ControlDebug: Hashable, Sendable {
    /// Sleep that long, at most 5 min, with the watchdog suspended.
    package var sleepSeconds = 0.0
    /// Send no logs for the life of the process.
    package var disableLogTail = false
    /// Asks the process to end with that code: a library stops its node instead.
    package var exit: Int?

    /// No instruction.
    package init() {}
}

extension ControlDebug: Codable {
    private enum CodingKeys: String, CodingKey {
        case sleepSeconds = "SleepSeconds"
        case disableLogTail = "DisableLogTail"
        case exit = "Exit"
    }

    /// Reads the object.
    package init(from decoder: any Decoder) throws {
        let members = try decoder.container(keyedBy: CodingKeys.self)
        sleepSeconds = try members.value(.sleepSeconds, or: 0)
        disableLogTail = try members.flag(.disableLogTail)
        exit = try members.decodeIfPresent(Int.self, forKey: .exit)
    }

    /// Writes the object without its zero members.
    package func encode(to encoder: any Encoder) throws {
        var members = encoder.container(keyedBy: CodingKeys.self)
        try members.encode(sleepSeconds, unless: 0, forKey: .sleepSeconds)
        try members.encode(ifTrue: disableLogTail, forKey: .disableLogTail)
        try members.encodeIfPresent(exit, forKey: .exit)
    }
}

/// A message of control for the user.
package struct DisplayMessage: Hashable, Sendable {
    /// The headline.
    package var title: String
    /// The text.
    package var text: String
    /// `high`, `medium` or `low`.
    package var severity: String
    /// Whether connectivity suffers.
    package var impactsConnectivity: Bool
    /// What the user can do.
    package var primaryAction: Action?

    /// Makes a message.
    package init(title: String, text: String, severity: String, impactsConnectivity: Bool = false) {
        self.title = title
        self.text = text
        self.severity = severity
        self.impactsConnectivity = impactsConnectivity
    }

    /// A link offered with a message.
    package struct Action: Hashable, Sendable, Codable {
        /// Where it leads.
        package var url: String
        /// What the button says.
        package var label: String

        private enum CodingKeys: String, CodingKey {
            case url = "URL"
            case label = "Label"
        }
    }

    /// The message that stands for one entry of the old `Health` list.
    package init(health text: String) {
        self.init(
            title: "Coordination server reports an issue",
            text: "The coordination server is reporting a health issue: \(text)",
            severity: "medium"
        )
    }
}

extension DisplayMessage: Codable {
    private enum CodingKeys: String, CodingKey {
        case title = "Title"
        case text = "Text"
        case severity = "Severity"
        case impactsConnectivity = "ImpactsConnectivity"
        case primaryAction = "PrimaryAction"
    }

    /// Reads the object.
    package init(from decoder: any Decoder) throws {
        let members = try decoder.container(keyedBy: CodingKeys.self)
        title = try members.text(.title)
        text = try members.text(.text)
        severity = try members.text(.severity)
        impactsConnectivity = try members.flag(.impactsConnectivity)
        primaryAction = try members.decodeIfPresent(Action.self, forKey: .primaryAction)
    }

    /// Writes the object without its zero members.
    package func encode(to encoder: any Encoder) throws {
        var members = encoder.container(keyedBy: CodingKeys.self)
        try members.encode(title, forKey: .title)
        try members.encode(text, forKey: .text)
        try members.encode(unlessEmpty: severity, forKey: .severity)
        try members.encode(ifTrue: impactsConnectivity, forKey: .impactsConnectivity)
        try members.encodeIfPresent(primaryAction, forKey: .primaryAction)
    }
}

/// Tailnet lock as control announces it; presence alone means that it is on.
package struct TailnetLockNotice: Hashable, Sendable {
    /// The head of the chain.
    package var head = ""
    /// Whether tailnet lock has been switched off.
    package var disabled = false
}

extension TailnetLockNotice: Codable {
    private enum CodingKeys: String, CodingKey {
        case head = "Head"
        case disabled = "Disabled"
    }

    /// Reads the object.
    package init(from decoder: any Decoder) throws {
        let members = try decoder.container(keyedBy: CodingKeys.self)
        head = try members.text(.head)
        disabled = try members.flag(.disabled)
    }

    /// Writes the object without its zero members.
    package func encode(to encoder: any Encoder) throws {
        var members = encoder.container(keyedBy: CodingKeys.self)
        try members.encode(unlessEmpty: head, forKey: .head)
        try members.encode(ifTrue: disabled, forKey: .disabled)
    }
}
