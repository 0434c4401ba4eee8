import HTTPTypes
import Store
import WarrenModel

/// Gives the same answer to the same request, when the client names it by `Idempotency-Key`.
struct Idempotency {
    /// Where records are.
    let database: WarrenDatabase

    /// Runs the route, or repeats what it answered before.
    func answer(_ route: APIRoute, _ call: APICall, path: Substring, body: [UInt8]) async throws -> APIAnswer {
        guard let text = call.head.headerFields[.idempotencyKey] else { return try await route.handle(call) }
        guard (1...255).contains(text.utf8.count), text.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
            throw APIProblem(.invalidParameter, "The header Idempotency-Key must be 1 to 255 visible ASCII characters.")
        }
        guard route.creates else { return try await route.handle(call) }
        let key = IdempotencyKey(
            client: call.principal?.name ?? "",
            method: route.method.rawValue,
            path: String(path),
            key: text
        )
        switch try await database.beginRequest(key, body: body, now: .now) {
        case .first: return try await first(route, call, key)
        case .replay(let stored): return Self.answer(stored)
        case .inProgress:
            throw APIProblem(
                .idempotencyInProgress,
                "The first request with this key has not been answered yet.",
                headers: [.retryAfter: "1"]
            )
        case .reused: throw APIProblem(.idempotencyKeyReused, "The key belongs to a request with another body.")
        }
    }

    private func first(_ route: APIRoute, _ call: APICall, _ key: IdempotencyKey) async throws -> APIAnswer {
        let answer: APIAnswer
        do {
            answer = try await route.handle(call)
        } catch {
            try await database.abandonRequest(key)
            throw error
        }
        guard case .bytes(let bytes) = answer.body else { return answer }
        let headers = answer.headers.map { [$0.name.rawName, $0.value] }
        try await database.completeRequest(
            key,
            StoredResponse(status: answer.status.code, headers: headers, body: bytes)
        )
        return answer
    }

    private static func answer(_ stored: StoredResponse) -> APIAnswer {
        var headers: HTTPFields = [.idempotencyReplayed: "true"]
        for pair in stored.headers where pair.count == 2 {
            if let name = HTTPField.Name(pair[0]) { headers[name] = pair[1] }
        }
        let type = headers[.contentType] ?? "application/json"
        return APIAnswer(HTTPResponse.Status(code: stored.status), bytes: stored.body, type: type, headers: headers)
    }
}
