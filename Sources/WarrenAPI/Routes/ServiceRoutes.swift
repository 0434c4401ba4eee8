import HTTPTypes
import WarrenModel

/// What the daemon says about itself.
struct ServiceRoutes: Sendable {
    private static let html = "text/html; charset=utf-8"
    private static let plain = "text/plain; charset=utf-8"

    /// What the routes work with.
    let services: APIServices

    /// The routes of this part.
    var routes: [APIRoute] {
        [
            APIRoute(.get, "/livez", .open) { call in
                try call.noQuery()
                return try APIAnswer(json: HealthAnswer(checks: []))
            },
            APIRoute(.get, "/readyz", .open, ready),
            APIRoute(.get, "/v1", .authenticated) { call in
                try call.noQuery()
                return try APIAnswer(json: await services.description()).taggedByContent()
            },
            APIRoute(.get, "/openapi.json", .authenticated) { call in
                try call.noQuery()
                return APIAnswer(.ok, bytes: try OpenAPIDocument.json(), type: "application/json").taggedByContent()
            },
            APIRoute(.get, "/problems/{slug}", .open, produces: [Self.plain, Self.html], problem),
            APIRoute(.get, "/", .authenticated, produces: [Self.plain, Self.html], index),
        ]
    }

    @Sendable private func ready(_ call: APICall) async throws -> APIAnswer {
        try call.noQuery()
        let health = HealthAnswer(checks: await services.checks())
        return try APIAnswer(health.checks.allSatisfy(\.ok) ? .ok : .serviceUnavailable, json: health)
    }

    @Sendable private func problem(_ call: APICall) async throws -> APIAnswer {
        try call.noQuery()
        guard let kind = ProblemKind(rawValue: call.parameter("slug")) else {
            throw APIProblem(.notFound, "No problem has that name.")
        }
        let head = "Status \(kind.status), type /problems/\(kind.rawValue)."
        return page(call, title: kind.title, paragraphs: [head, kind.advice])
    }

    @Sendable private func index(_ call: APICall) async throws -> APIAnswer {
        try call.noQuery()
        return page(
            call,
            title: "Warren \(await services.description().version)",
            paragraphs: [
                "Linux VMs that are nodes of your tailnet.",
                "/openapi.json describes the API; /v1 this host; /readyz whether it is ready.",
                "The command line is `warren`; begin with `warren vm ls`.",
            ]
        )
    }

    private func page(_ call: APICall, title: String, paragraphs: [String]) -> APIAnswer {
        guard call.mediaType == Self.html else {
            let text = ([title] + paragraphs).joined(separator: "\n\n") + "\n"
            return APIAnswer(.ok, bytes: Array(text.utf8), type: Self.plain)
        }
        let body = paragraphs.map { "<p>\(Self.escaped($0))</p>" }.joined(separator: "\n")
        let document = """
            <!doctype html>
            <html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
            <title>\(Self.escaped(title))</title>
            <style>body{font:16px/1.5 sans-serif;max-width:40em;margin:4em auto;padding:0 1em}</style>
            <h1>\(Self.escaped(title))</h1>
            \(body)
            </html>

            """
        return APIAnswer(
            .ok,
            bytes: Array(document.utf8),
            type: Self.html,
            headers: [.contentSecurityPolicy: "default-src 'none'; style-src 'unsafe-inline'"]
        )
    }

    private static func escaped(_ text: String) -> String {
        text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;")
    }
}
