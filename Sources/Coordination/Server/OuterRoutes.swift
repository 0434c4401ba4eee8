import NIOCore
import NIOHTTP1
import WarrenCrypto

/// What the server answers outside Noise: its key, its health, and the login page.
struct OuterRoutes: Sendable {
    let serverKey: MachinePublicKey
    let page: LoginPage

    /// The answer of `GET /key`.
    private struct KeyDocument: Encodable {
        let legacyPublicKey = MachinePublicKey.zero
        let publicKey: MachinePublicKey
    }

    /// The largest body of a request here: a login form.
    static let maximumBodyByteCount = 16 << 10

    /// Answers one request.
    func reply(to call: HTTPCall) async -> HTTPReply {
        let method = call.head.method
        let path = call.path
        if path == "/ts2021" { return .text(.badRequest, "missing next protocol\n") }
        if path.hasPrefix("/login/") {
            let id = String(path.dropFirst("/login/".count))
            switch method {
            case .GET, .HEAD: return await page.show(id)
            case .POST: return await page.submit(id, call)
            default: return Self.notAllowed("GET, HEAD, POST")
            }
        }
        guard method == .GET || method == .HEAD else {
            return ["/", "/key", "/health"].contains(path)
                ? Self.notAllowed("GET, HEAD") : .text(.notFound, "not found\n")
        }
        switch path {
        case "/key": return key(call)
        case "/health":
            return HTTPReply(
                status: .ok,
                headers: ["content-type": "application/json"],
                body: ByteBuffer(string: #"{"status":"pass"}"#)
            )
        case "/": return .text(.ok, "A coordination server of a private network.\n")
        default: return .text(.notFound, "not found\n")
        }
    }

    private func key(_ call: HTTPCall) -> HTTPReply {
        guard let version = call.query("v"), !version.isEmpty else {
            return .text(.badRequest, "capability version must be set\n")
        }
        guard UInt32(version) != nil else { return .text(.badRequest, "invalid capability version\n") }
        guard var reply = try? HTTPReply.json(KeyDocument(publicKey: serverKey)) else {
            return .text(.internalServerError, "internal error\n")
        }
        reply.headers.add(name: "access-control-allow-origin", value: "*")
        return reply
    }

    private static func notAllowed(_ methods: String) -> HTTPReply {
        var reply = HTTPReply.text(.methodNotAllowed, "method not allowed\n")
        reply.headers.add(name: "allow", value: methods)
        return reply
    }
}
