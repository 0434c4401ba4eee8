import HTTPTypes
import Store
import VirtualMachines
import WarrenModel

/// `/v1/vms/{vm}/…`: what happens inside a VM: commands, its console.
struct GuestRoutes: Sendable {
    private static let plain = "text/plain; charset=utf-8"

    /// What the routes work with.
    let services: APIServices

    private var lookup: VMLookup { VMLookup(database: services.database) }

    /// The routes of this part.
    var routes: [APIRoute] {
        [
            APIRoute(.post, "/v1/vms/{vm}/exec", .scope(.vmConsole), takesBody: true, exec),
            APIRoute(.get, "/v1/vms/{vm}/console/log", .scope(.vmConsole), produces: [Self.plain], consoleLog),
        ]
    }

    @Sendable private func exec(_ call: APICall) async throws -> APIAnswer {
        try call.noQuery()
        let request = try ExecRequest(call.body)
        let record = try await lookup.record(call)
        return try APIAnswer(json: try await services.vms.exec(request, in: record.id.description))
    }

    @Sendable private func consoleLog(_ call: APICall) async throws -> APIAnswer {
        let tail = try call.query { query throws(APIProblem) in
            try query.parsed("tail", "a size such as 4096, 64KiB or 1MiB", Self.byteCount)
        }
        let id = try await lookup.record(call).id
        let bytes = try await services.vms.consoleLog(of: id.description, tail: tail ?? Int.max)
        return APIAnswer(.ok, bytes: bytes, type: Self.plain)
    }

    /// Reads a number of octets, `64KiB` or `1MiB`.
    private static func byteCount(_ text: String) -> Int? {
        let digits = text.prefix { ("0"..."9").contains($0) }
        guard let number = Int(digits), number > 0, number <= 1 << 30 else { return nil }
        switch text.dropFirst(digits.count) {
        case "", "B": return number
        case "KiB": return number << 10
        case "MiB": return number << 20
        default: return nil
        }
    }
}
