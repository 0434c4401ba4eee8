import FoundationEssentials
import NIOCore
import NIOHTTP1
import Tailcfg
import WarrenCrypto

/// The page behind a login URL: who wants to join, and one button; GET never approves.
struct LoginPage: Sendable {
    let registry: NodeRegistry
    /// Checks the administrator's token; nil when none is asked for, because only this host can reach the server.
    let check: (@Sendable (String) async -> Bool)?

    /// The page of a login, or that it has ended.
    func show(_ id: String) async -> HTTPReply {
        guard let login = await registry.openLogin(id) else { return Self.ended }
        return page(login)
    }

    /// The button was pressed.
    func submit(_ id: String, _ call: HTTPCall) async -> HTTPReply {
        guard let login = await registry.openLogin(id) else { return Self.ended }
        if let origin = call.head.headers.first(name: "origin"), !Self.isOwn(origin, call.head.headers) {
            return Self.html(.forbidden, title: "Refused", "<p>The form came from another site.</p>")
        }
        let form = Self.form(String(buffer: call.body))
        guard form["token"] == login.formToken else {
            return Self.html(
                .forbidden,
                title: "Refused",
                "<p>The form is not from this page. Open the link again.</p>"
            )
        }
        if let check {
            guard let credential = form["credential"], !credential.isEmpty, await check(credential) else {
                return page(login, status: .forbidden, notice: "That is not an administrator's token.")
            }
        }
        do {
            try await registry.approveLogin(id)
        } catch CoordinationError.loginNotFound {
            return Self.ended
        } catch {
            return Self.html(.internalServerError, title: "Failed", "<p>The machine could not be let in.</p>")
        }
        return Self.html(.ok, title: "Done", "<p>The machine is joining. You may close this page.</p>")
    }

    /// The page that clients name while their machine waits for approval.
    static let administration = html(
        .ok,
        title: "Administration",
        "<p>Machines that wait are listed and let in with the command line or the API of this server's host.</p>"
    )

    private static let ended = html(
        .notFound,
        title: "No such login",
        "<p>This login has ended. The client shows a new link when it needs one.</p>"
    )

    private func page(_ login: PendingLogin, status: HTTPResponseStatus = .ok, notice: String? = nil) -> HTTPReply {
        let hostinfo = login.request.hostinfo ?? Hostinfo()
        var body = "<p>A machine wants to join <b>\(Self.escaped(domain))</b>.</p><dl>"
        body += Self.row("Host name", hostinfo.hostname.isEmpty ? "(none)" : hostinfo.hostname)
        body += Self.row("System", [hostinfo.os, hostinfo.osVersion].filter { !$0.isEmpty }.joined(separator: " "))
        body += Self.row("Machine key", login.machineKey.short)
        if let address = login.remoteAddress { body += Self.row("Asked from", address) }
        body += "</dl><p>Only go on if you started this yourself.</p>"
        if let notice { body += "<p role=\"alert\"><b>\(Self.escaped(notice))</b></p>" }
        body += "<form method=\"post\"><input type=\"hidden\" name=\"token\" value=\"\(login.formToken)\">"
        if check != nil {
            body += "<p><label>Administrator's token <input type=\"password\" name=\"credential\" "
            body += "autocomplete=\"off\" required></label></p>"
        }
        body += "<button type=\"submit\">Let this machine join</button></form>"
        return Self.html(status, title: "A machine wants to join", body)
    }

    /// The tailnet's name, for the page.
    let domain: String

    private static func row(_ name: String, _ value: String) -> String {
        "<dt>\(name)</dt><dd>\(escaped(value))</dd>"
    }

    private static func html(_ status: HTTPResponseStatus, title: String, _ body: String) -> HTTPReply {
        let document = """
            <!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>\(title)</title>\
            <meta name="viewport" content="width=device-width"></head><body><h1>\(title)</h1>\(body)</body></html>

            """
        return HTTPReply(
            status: status,
            headers: [
                "content-type": "text/html; charset=utf-8",
                "content-security-policy":
                    "default-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
                "x-frame-options": "DENY", "x-content-type-options": "nosniff", "referrer-policy": "no-referrer",
                "cache-control": "no-store",
            ],
            body: ByteBuffer(string: document)
        )
    }

    /// Text for HTML; control characters are left out.
    static func escaped(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars where scalar.value >= 0x20 && scalar.value != 0x7F {
            switch scalar {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "\"": result += "&quot;"
            case "'": result += "&#39;"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    /// Whether a browser says that the form was on our own page.
    private static func isOwn(_ origin: String, _ headers: HTTPHeaders) -> Bool {
        guard let host = headers.first(name: "host"), let slash = origin.lastIndex(of: "/") else { return false }
        return origin[origin.index(after: slash)...].lowercased() == host.lowercased()
    }

    /// The fields of an `application/x-www-form-urlencoded` body.
    static func form(_ body: String) -> [String: String] {
        var fields: [String: String] = [:]
        for pair in body.split(separator: "&") {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = decoded(parts[0]), let value = parts.count == 2 ? decoded(parts[1]) : "" else { continue }
            fields[name] = value
        }
        return fields
    }

    private static func decoded(_ text: Substring) -> String? {
        var octets: [UInt8] = []
        var rest = text.utf8[...]
        while let octet = rest.popFirst() {
            switch octet {
            case UInt8(ascii: "+"): octets.append(UInt8(ascii: " "))
            case UInt8(ascii: "%"):
                guard let high = rest.popFirst(), let low = rest.popFirst(),
                    let value = UInt8(String(decoding: [high, low], as: UTF8.self), radix: 16)
                else { return nil }
                octets.append(value)
            default: octets.append(octet)
            }
        }
        return String(validating: octets, as: UTF8.self)
    }
}
