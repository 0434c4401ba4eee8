package import WarrenModel

/// Who receives deliveries: one of a VM's callbacks, or a global webhook.
package enum DeliveryEndpoint: Hashable, Sendable {
    /// A callback of the VM that the event is about.
    case callback(CallbackKind)
    /// A global webhook.
    case webhook(WebhookID)

    /// Reads the text form.
    package init?(_ text: some StringProtocol) {
        if let kind = CallbackKind(rawValue: String(text)) {
            self = .callback(kind)
        } else if let id = WebhookID(text) {
            self = .webhook(id)
        } else {
            return nil
        }
    }
}

extension DeliveryEndpoint: CustomStringConvertible {
    /// The callback's member name or the webhook's id.
    package var description: String {
        switch self {
        case .callback(let kind): kind.rawValue
        case .webhook(let id): id.description
        }
    }
}

/// Deliveries with the same queue go out one after the other.
package struct DeliveryQueue: Hashable, Sendable {
    /// The VM that the events are about.
    package let vmID: VMID
    /// Who receives them.
    package let endpoint: DeliveryEndpoint

    /// Joins the two.
    package init(vmID: VMID, endpoint: DeliveryEndpoint) {
        self.vmID = vmID
        self.endpoint = endpoint
    }
}

/// What became of a delivery.
package enum DeliveryStatus: String, Hashable, Sendable, CaseIterable {
    /// To be sent, or to be sent again.
    case pending
    /// Answered with 2xx.
    case delivered
    /// Tried as often as the schedule allows.
    case failed
    /// Made pointless by a newer one before it got through.
    case superseded
    /// The endpoint asked with 410 not to be called again.
    case disabled
}

/// A delivery that is to be made, with all that it takes.
package struct OutboxRecord: Sendable {
    /// Names the delivery.
    package let id: DeliveryID
    /// In which queue it stands.
    package let queue: DeliveryQueue
    /// The event; receivers recognize repeats by it.
    package let eventID: EventID
    /// The event's type.
    package let eventType: EventType
    /// Where it goes.
    package let url: WebURL
    /// What is sent: type, timestamp and data as JSON, the login URL in clear.
    package let body: [UInt8]
    /// Signs it, and extra header fields.
    package let secrets: CallbackSecrets
    /// How often it was tried.
    package let attempts: Int
    /// When it was written.
    package let createdAt: Timestamp
    /// When it is due.
    package let dueAt: Timestamp
}

/// One attempt at a delivery.
package struct DeliveryAttempt: Equatable, Sendable {
    /// When it began.
    package let startedAt: Timestamp
    /// How long it took.
    package let latency: Duration
    /// The HTTP status, if an answer came.
    package let status: Int?
    /// What went wrong, without secrets, if no good answer came.
    package let error: String?

    /// Joins the parts.
    package init(startedAt: Timestamp, latency: Duration, status: Int?, error: String?) {
        self.startedAt = startedAt
        self.latency = latency
        self.status = status
        self.error = error
    }
}

/// What follows from an attempt.
package enum DeliveryOutcome: Equatable, Sendable {
    /// The receiver has it.
    case delivered
    /// To be tried again then.
    case retry(at: Timestamp)
    /// Given up.
    case failed
    /// Given up, and the endpoint is not to be called again.
    case disabled
}

/// A delivery as lists show it: with a masked login URL, and without secrets.
package struct DeliveryReport: Equatable, Sendable {
    /// Names the delivery.
    package let id: DeliveryID
    /// Orders deliveries; the cursor of lists.
    package let number: Int64
    /// In which queue it stands.
    package let queue: DeliveryQueue
    /// The event.
    package let eventID: EventID
    /// The event's type.
    package let eventType: EventType
    /// Where it goes.
    package let url: WebURL
    /// What became of it.
    package let status: DeliveryStatus
    /// What was tried so far.
    package let attempts: [DeliveryAttempt]
    /// When it was written.
    package let createdAt: Timestamp
    /// When it is tried next, while pending.
    package let nextAttemptAt: Timestamp?
    /// When it was over.
    package let finishedAt: Timestamp?
}
