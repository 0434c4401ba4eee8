import HTTPTypes
import WarrenModel

/// `/v1/tailnet`: the embedded coordination server.
struct TailnetRoutes: Sendable {
    /// What the routes work with.
    let services: APIServices

    /// The routes of this part.
    var routes: [APIRoute] {
        [
            APIRoute(.post, "/v1/tailnet/auth-keys", .scope(.admin), takesBody: true, creates: true, createAuthKey),
            APIRoute(.get, "/v1/tailnet/auth-keys", .scope(.admin)) { call in
                try page(try await tailnet().authKeys(), call) { $0.id }
            },
            APIRoute(.delete, "/v1/tailnet/auth-keys/{id}", .scope(.admin)) { call in
                try await done(call) { try await $0.revokeAuthKey($1) }
            },
            APIRoute(.get, "/v1/tailnet/nodes", .scope(.admin)) { call in
                try page(try await tailnet().nodes(), call) { $0.id }
            },
            APIRoute(.get, "/v1/tailnet/nodes/{id}", .scope(.admin)) { call in
                try await node(call) { try await $0.node($1) }
            },
            APIRoute(.patch, "/v1/tailnet/nodes/{id}", .scope(.admin), takesBody: true) { call in
                let patch = try PatchTailnetNodeRequest(call.body)
                return try await node(call) { try await $0.patchNode($1, patch) }
            },
            APIRoute(.delete, "/v1/tailnet/nodes/{id}", .scope(.admin)) { call in
                try await done(call) { try await $0.deleteNode($1) }
            },
            APIRoute(.post, "/v1/tailnet/nodes/{id}/approve", .scope(.admin)) { call in
                try await node(call) { try await $0.approveNode($1) }
            },
            APIRoute(.post, "/v1/tailnet/nodes/{id}/expire", .scope(.admin)) { call in
                try await node(call) { try await $0.expireNode($1) }
            },
            APIRoute(.post, "/v1/tailnet/nodes/{id}/routes", .scope(.admin), takesBody: true) { call in
                let request = try ApproveRoutesRequest(call.body)
                return try await node(call) { try await $0.approveRoutes($1, request) }
            },
            APIRoute(.get, "/v1/tailnet/logins", .scope(.admin)) { call in
                try page(try await tailnet().logins(), call) { $0.id }
            },
            APIRoute(.post, "/v1/tailnet/logins/{id}/approve", .scope(.admin)) { call in
                try await done(call) { try await $0.approveLogin($1) }
            },
            APIRoute(.post, "/v1/tailnet/logins/{id}/deny", .scope(.admin)) { call in
                try await done(call) { try await $0.denyLogin($1) }
            },
        ] + TailnetSettingRoutes(services: services).routes
    }

    private func tailnet() throws(APIProblem) -> any TailnetService {
        try services.runningTailnet()
    }

    @Sendable private func createAuthKey(_ call: APICall) async throws -> APIAnswer {
        try call.noQuery()
        let key = try await tailnet().createAuthKey(try CreateAuthKeyRequest(call.body))
        return try APIAnswer(.created, json: key, headers: [.location: "/v1/tailnet/auth-keys/\(key.id)"])
    }

    /// Answers with the node that `{id}` names by its id or its name, as it is after `action`.
    private func node(
        _ call: APICall,
        _ action: (any TailnetService, String) async throws -> TailnetNodeAnswer
    ) async throws -> APIAnswer {
        try call.noQuery()
        return try APIAnswer(json: try await action(tailnet(), call.parameter("id"))).taggedByContent()
    }

    /// Does something to what `{id}` names; there is nothing to say about it afterwards.
    private func done(
        _ call: APICall,
        _ action: (any TailnetService, String) async throws -> Void
    ) async throws -> APIAnswer {
        try call.noQuery()
        try await action(tailnet(), call.parameter("id"))
        return .noContent
    }

    private func page<Item: Codable & Sendable>(
        _ items: [Item],
        _ call: APICall,
        by id: (Item) -> String
    ) throws -> APIAnswer {
        let (after, limit) = try call.query { query throws(APIProblem) in (try query.cursor { $0 }, try query.limit()) }
        let start = after.flatMap { after in items.firstIndex { id($0) == after } }.map { $0 + 1 } ?? 0
        let shown = items[start...].prefix(limit)
        let next = start + shown.count < items.count ? shown.last.map { Cursor.text(id($0)) } : nil
        return try APIAnswer(json: Page(items: Array(shown), nextCursor: next)).taggedByContent()
    }
}
