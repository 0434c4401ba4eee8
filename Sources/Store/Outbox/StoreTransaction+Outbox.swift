import Foundation
import GRDB
import WarrenModel

extension StoreTransaction {
    /// How far apart deliveries of netmap changes to one endpoint are at least.
    static let netmapInterval = Duration.seconds(1)

    /// Writes a delivery; an undelivered older one of the same queue and type is superseded.
    mutating func addDelivery(
        of event: Event,
        loginURL: String?,
        vm: VMID,
        endpoint: DeliveryEndpoint,
        url: WebURL,
        now: Timestamp
    ) throws {
        let place: StatementArguments = [vm.description, endpoint.description, event.type.rawValue]
        if event.type.supersedesOlder {
            try execute(
                """
                UPDATE outbox SET status = 'superseded', finished_at = ?, next_attempt_at = NULL, sealed_login_url = NULL
                WHERE status = 'pending' AND vm_id = ? AND endpoint = ? AND event_type = ?
                """,
                [now.millisecondsSinceEpoch] + place
            )
        }
        let isDisabled =
            try Bool.fetchOne(
                database,
                sql: "SELECT EXISTS (SELECT 1 FROM disabled_endpoints WHERE vm_id = ? AND endpoint = ? AND url = ?)",
                arguments: [vm.description, endpoint.description, url.text]
            ) ?? false
        let id = DeliveryID(now: now)
        let due = try firstAttempt(of: event.type, place: place, now: now)
        let payload: JSONTree = [
            "type": .string(event.type.rawValue), "timestamp": .string(event.timestamp.description), "data": event.data,
        ]
        try execute(
            """
            INSERT INTO outbox (id, event_id, event_type, vm_id, endpoint, url, payload, sealed_login_url, status, attempts,
                created_at, next_attempt_at, finished_at)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?, ?)
            """,
            [
                id.description, event.id.description, event.type.rawValue, vm.description, endpoint.description,
                url.text,
                try ModelJSON.text(payload), isDisabled ? nil : try vault.sealText(loginURL, for: .loginURL(of: id)),
                (isDisabled ? DeliveryStatus.disabled : .pending).rawValue, now.millisecondsSinceEpoch,
                isDisabled ? nil : due.millisecondsSinceEpoch, isDisabled ? now.millisecondsSinceEpoch : nil,
            ]
        )
        if !isDisabled { hasDeliveries = true }
    }

    // At once, except that netmap changes wait until a second has passed since the one before was sent; those that come
    // meanwhile supersede each other and inherit nothing, since the wait counts from the last attempt.
    private func firstAttempt(of type: EventType, place: StatementArguments, now: Timestamp) throws -> Timestamp {
        guard type == .networkNetmapChanged else { return now }
        let last = try Int64.fetchOne(
            database,
            sql: """
                SELECT max(started_at) FROM delivery_attempts JOIN outbox ON number = outbox_number
                WHERE vm_id = ? AND endpoint = ? AND event_type = ?
                """,
            arguments: place
        )
        guard let last else { return now }
        return max(now, Timestamp(millisecondsSinceEpoch: last) + Self.netmapInterval)
    }
}

extension String {
    /// The place of a delivery's login URL.
    static func loginURL(of id: DeliveryID) -> String { "outbox.login-url/\(id)" }
}
