import HTTPTypes
import WarrenModel

/// `/v1/tailnet/policy` and `/v1/tailnet/dns`: what holds for the whole embedded tailnet.
struct TailnetSettingRoutes: Sendable {
    /// What the routes work with.
    let services: APIServices

    /// The routes of this part.
    var routes: [APIRoute] {
        [
            APIRoute(.get, "/v1/tailnet/policy", .scope(.admin)) { call in
                try call.noQuery()
                let policy = try await services.runningTailnet().policy()
                return try Self.answer(policy.document, policy.revision)
            },
            APIRoute(.put, "/v1/tailnet/policy", .scope(.admin), takesBody: true, setPolicy),
            APIRoute(.get, "/v1/tailnet/dns", .scope(.admin)) { call in
                try call.noQuery()
                return try APIAnswer(json: try await services.runningTailnet().dns()).taggedByContent()
            },
            APIRoute(.put, "/v1/tailnet/dns", .scope(.admin), takesBody: true) { call in
                try call.noQuery()
                let dns = try TailnetDNS(call.body)
                return try APIAnswer(json: try await services.runningTailnet().setDNS(dns)).taggedByContent()
            },
            APIRoute(.delete, "/v1/tailnet/dns", .scope(.admin)) { call in
                try call.noQuery()
                _ = try await services.runningTailnet().setDNS(nil)
                return .noContent
            },
        ]
    }

    private static func answer(_ document: JSONTree, _ revision: Int64) throws -> APIAnswer {
        try APIAnswer(json: document).tagged("\"\(revision)\"")
    }

    @Sendable private func setPolicy(_ call: APICall) async throws -> APIAnswer {
        let isTrial = try call.query { query throws(APIProblem) in try query.bool("dryRun") } ?? false
        // Nothing is a good policy that cuts everyone off, which nobody means who forgot the body.
        guard call.head.headerFields[.contentType] != nil else {
            throw APIProblem(.invalidJSON, "The policy is missing.")
        }
        let tailnet = try services.runningTailnet()
        var expected: Int64?
        if let field = call.head.headerFields[.ifMatch] {
            let present = try await tailnet.policy().revision
            guard EntityTag.specMatches(field, generation: present) else {
                throw APIProblem(.preconditionFailed, "The policy is not the one that If-Match names.")
            }
            expected = present
        }
        if isTrial {
            try await tailnet.checkPolicy(call.body)
            return try APIAnswer(json: call.body)
        }
        return try Self.answer(call.body, try await tailnet.setPolicy(call.body, replacing: expected))
    }
}

extension APIServices {
    /// The embedded coordination server, or the problem that there is none.
    func runningTailnet() throws(APIProblem) -> any TailnetService {
        guard let tailnet else {
            throw APIProblem(.tailnetUnavailable, "The embedded coordination server is disabled.")
        }
        return tailnet
    }
}
