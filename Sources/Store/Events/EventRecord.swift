import Foundation
import GRDB
package import WarrenModel

/// An event as it is stored: its login URL, if it has one, is sealed beside the masked text.
package struct EventRecord: Equatable, Sendable {
    /// The event, with a masked login URL.
    package let event: Event
    /// The VM it is about.
    package let vmID: VMID?
    /// The login URL in clear while the login is pending.
    package let loginURL: String?

    /// The event with its login URL in clear, for those who may log in; masked once the login ended.
    package var revealed: Event {
        guard let loginURL, case .object(var members) = event.data else { return event }
        members["loginUrl"] = .string(loginURL)
        var copy = event
        copy.data = .object(members)
        return copy
    }

    /// Reads a row of `events`.
    init(_ row: Row, vault: SecretVault) throws {
        let id = try row.parsed("id") { EventID($0) }
        event = Event(
            id: id,
            seq: row["seq"],
            type: try row.parsed("type") { EventType(rawValue: $0) },
            timestamp: row.timestamp("timestamp"),
            data: try ModelJSON.decode(JSONTree.self, from: row["data"] as String)
        )
        vmID = (row["vm_id"] as String?).flatMap { VMID($0) }
        loginURL = try vault.openText(row["sealed_login_url"], for: .loginURL(of: id))
    }
}

/// Which events a reader wants.
package struct EventFilter: Equatable, Sendable {
    /// Only events about this VM.
    package var vm: VMID?
    /// Only events of these types; nil for all.
    package var types: Set<EventType>?

    /// Joins the two.
    package init(vm: VMID? = nil, types: Set<EventType>? = nil) {
        self.vm = vm
        self.types = types
    }
}

/// A stretch of the log.
package struct EventPage: Equatable, Sendable {
    /// What the filter let through, oldest first.
    package let records: [EventRecord]
    /// Where the next page begins: the `after` to ask with.
    package let position: Int64
    /// Whether more was waiting when the page was read.
    package let hasMore: Bool
}
