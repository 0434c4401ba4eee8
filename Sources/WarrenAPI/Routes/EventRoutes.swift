import HTTPTypes
import Store
import WarrenModel

/// `/v1/events`: the log, as pages or as a stream.
struct EventRoutes: Sendable {
    private static let streamType = "text/event-stream"

    /// What the routes work with.
    let services: APIServices

    /// The routes of this part.
    var routes: [APIRoute] {
        [APIRoute(.get, "/v1/events", .scope(.vmRead), produces: ["application/json", Self.streamType], events)]
    }

    @Sendable private func events(_ call: APICall) async throws -> APIAnswer {
        let request = try call.query { query throws(APIProblem) in try EventRequest(&query) }
        let filter = try await filter(request, call)
        let revealing = call.seesLoginURLs
        guard call.mediaType == Self.streamType else {
            let page = try await services.database.events(
                after: request.cursor ?? request.after,
                filter: filter,
                limit: request.limit
            )
            let items = page.records.map { revealing ? $0.revealed : $0.event }
            let next = page.hasMore ? Cursor.text(String(page.position)) : nil
            return try APIAnswer(json: Page(items: items, nextCursor: next)).taggedByContent()
        }
        let position = try Self.lastEventID(call.head.headerFields) ?? request.after
        // Read once before the answer begins, so that trimmed events are a 410 and not a broken stream.
        let first = try await services.database.events(after: position, filter: filter, limit: EventStream.batch)
        let stream = EventStream(database: services.database, filter: filter, revealsLoginURLs: revealing)
        return APIAnswer.stream(type: Self.streamType) { writer in
            try await stream.write(first, to: &writer)
        }
    }

    private func filter(_ request: EventRequest, _ call: APICall) async throws -> EventFilter {
        let vm = try await vm(request.vm)
        guard let bound = call.principal?.boundVM else { return EventFilter(vm: vm, types: request.types) }
        guard vm == nil || vm == bound else { throw APIProblem(.forbidden, "The token is bound to another VM.") }
        return EventFilter(vm: bound, types: request.types)
    }

    private func vm(_ name: String?) async throws -> VMID? {
        guard let name else { return nil }
        if let id = VMID(name) { return id }
        guard let record = try await services.database.vm(named: name) else {
            throw APIProblem(.invalidParameter, "The parameter vm names no VM; a deleted one is named by its id.")
        }
        return record.id
    }

    private static func lastEventID(_ headers: HTTPFields) throws(APIProblem) -> Int64? {
        guard let text = headers[.lastEventID], !text.isEmpty else { return nil }
        guard let number = Int64(text), number >= 0 else {
            throw APIProblem(.invalidParameter, "The header Last-Event-ID must be the number of an event.")
        }
        return number
    }
}

/// What the query asks for.
private struct EventRequest {
    let after: Int64?
    let cursor: Int64?
    let vm: String?
    let types: Set<EventType>?
    let limit: Int

    init(_ query: inout QueryReader) throws(APIProblem) {
        after = try query.integer("after", in: 0...Int64.max)
        cursor = try query.cursor { Int64($0) }
        vm = try query.text("vm")
        types = try query.parsed(
            "type",
            "an event type such as vm.running, or a pattern such as vm.network.*",
            Self.types
        )
        limit = try query.limit()
    }

    private static func types(_ text: String) -> Set<EventType>? {
        let found = EventType.allCases.filter { type in
            text == type.rawValue || (text.hasSuffix("*") && type.rawValue.hasPrefix(text.dropLast()))
        }
        return found.isEmpty ? nil : Set(found)
    }
}
