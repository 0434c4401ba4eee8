import HTTPTypes
import Store
import WarrenModel

/// Knows who asks by the bearer token.
struct Authenticator {
    /// Where records are.
    let database: WarrenDatabase

    /// The one a token belongs to.
    func principal(_ authorization: String?) async throws -> Principal {
        guard let authorization else {
            throw Self.refusal("Send a token: Authorization: Bearer wrn_….", challenge: "Bearer realm=\"warren\"")
        }
        let parts = authorization.split(separator: " ", omittingEmptySubsequences: true)
        guard parts.count == 2, parts[0].lowercased() == "bearer",
            let record = try await database.token(matching: String(parts[1]), now: .now)
        else {
            throw Self.refusal(
                "The token is not known, or has ended.",
                challenge: "Bearer realm=\"warren\", error=\"invalid_token\""
            )
        }
        return Principal(name: record.id.description, scopes: record.scopes, boundVM: record.vmID)
    }

    private static func refusal(_ detail: String, challenge: String) -> APIProblem {
        APIProblem(.unauthenticated, detail, headers: [.wwwAuthenticate: challenge])
    }
}
