import NIOCore
import NIOHTTP1

/// What clients ask of any host of the tailnet to find out about the network in between.
struct HostProbes: Sendable {
    /// The addresses of our own names, for clients whose resolver is broken.
    let names: [String: [String]]

    /// The answer to a request, or nil when it is about something else.
    func reply(to head: HTTPRequestHead) -> HTTPReply? {
        let isRead = head.method == .GET || head.method == .HEAD
        switch head.uri.prefix(while: { $0 != "?" }) {
        case "/derp/probe", "/derp/latency-check":
            return isRead
                ? HTTPReply(status: .ok, headers: ["Access-Control-Allow-Origin": "*"]) : .methodNotAllowed("GET, HEAD")
        case "/generate_204":
            guard isRead else { return .methodNotAllowed("GET, HEAD") }
            var reply = HTTPReply.empty(.noContent)
            reply.headers.add(
                name: "Cache-Control",
                value: "no-cache, no-store, must-revalidate, no-transform, max-age=0"
            )
            if let challenge = head.headers.first(name: "X-Tailscale-Challenge"), Self.isEchoable(challenge) {
                reply.headers.add(name: "X-Tailscale-Response", value: "response \(challenge)")
            }
            return reply
        case "/bootstrap-dns":
            guard isRead else { return .methodNotAllowed("GET, HEAD") }
            let wanted = HTTPCall(head: head, body: ByteBuffer()).query("q").map { $0.lowercased() } ?? ""
            // Only our own names: nobody shall resolve the world through us.
            guard var reply = try? HTTPReply.json(names.filter { $0.key == wanted }) else { return nil }
            reply.headers.add(name: "Access-Control-Allow-Origin", value: "*")
            return reply
        case "/robots.txt":
            return isRead ? .text(.ok, "User-agent: *\nDisallow: /\n") : .methodNotAllowed("GET, HEAD")
        default: return nil
        }
    }

    /// At most 64 octets that cannot mean anything in a header.
    private static func isEchoable(_ challenge: String) -> Bool {
        (1...64).contains(challenge.utf8.count)
            && challenge.utf8.allSatisfy { octet in
                (48...57).contains(octet) || (65...90).contains(octet) || (97...122).contains(octet)
                    || [0x2E, 0x2D, 0x5F, 0x3A].contains(octet)
            }
    }
}
