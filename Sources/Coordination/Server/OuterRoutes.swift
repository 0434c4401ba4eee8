import NIOCore
import NIOHTTP1
import WarrenCrypto

/// What the server answers outside Noise: its key, its health, probes, and the pages for people.
struct OuterRoutes: Sendable {
    let serverKey: MachinePublicKey
    let page: LoginPage
    let devices: DevicePage
    let probes: HostProbes

    /// The answer of `GET /key`.
    private struct KeyDocument: Encodable {
        let legacyPublicKey = MachinePublicKey.zero
        let publicKey: MachinePublicKey
    }

    /// The largest body of a request here: a login form.
    static let maximumBodyByteCount = 16 << 10

    /// Answers one request.
    func reply(to call: HTTPCall) async -> HTTPReply {
        if let reply = probes.reply(to: call.head) { return reply }
        let method = call.head.method
        let isRead = method == .GET || method == .HEAD
        let path = call.path
        if path.hasPrefix("/login/") {
            let id = String(path.dropFirst("/login/".count))
            if isRead { return await page.show(id) }
            return method == .POST ? await page.submit(id, call) : .methodNotAllowed("GET, HEAD, POST")
        }
        switch path {
        case "/ts2021":
            // Proper upgrades never come here.
            return isRead || method == .POST
                ? .text(.badRequest, "missing next protocol\n") : .methodNotAllowed("GET, POST")
        case "/key": return isRead ? key(call) : .methodNotAllowed("GET, HEAD")
        case "/health":
            guard isRead else { return .methodNotAllowed("GET, HEAD") }
            return HTTPReply(
                status: .ok,
                headers: ["content-type": "application/json"],
                body: ByteBuffer(string: #"{"status":"pass"}"#)
            )
        case "/admin":
            if isRead { return await devices.show() }
            return method == .POST ? await devices.submit(call) : .methodNotAllowed("GET, HEAD, POST")
        case "/":
            return isRead
                ? .text(.ok, "A coordination server of a private network.\n") : .methodNotAllowed("GET, HEAD")
        default: return .text(.notFound, "not found\n")
        }
    }

    private func key(_ call: HTTPCall) -> HTTPReply {
        var reply: HTTPReply
        switch call.query("v") {
        case nil, "": reply = .text(.badRequest, "capability version must be set\n")
        case let version? where UInt32(version) == nil:
            reply = .text(.badRequest, "invalid capability version\n")
        default:
            guard let document = try? HTTPReply.json(KeyDocument(publicKey: serverKey)) else {
                return .text(.internalServerError, "internal error\n")
            }
            reply = document
        }
        // Browsers that are clients come from pages of other hosts.
        reply.headers.add(name: "access-control-allow-origin", value: "*")
        return reply
    }
}
