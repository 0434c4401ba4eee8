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
        guard let form = WebPage.form(of: call, token: login.formToken) else { return WebPage.foreignForm }
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
            return WebPage.html(.internalServerError, title: "Failed", "<p>The machine could not be let in.</p>")
        }
        return WebPage.html(.ok, title: "Done", "<p>The machine is joining. You may close this page.</p>")
    }

    private static let ended = WebPage.html(
        .notFound,
        title: "No such login",
        "<p>This login has ended. The client shows a new link when it needs one.</p>"
    )

    private func page(_ login: PendingLogin, status: HTTPResponseStatus = .ok, notice: String? = nil) -> HTTPReply {
        let hostinfo = login.request.hostinfo ?? Hostinfo()
        var body = "<p>A machine wants to join <b>\(WebPage.escaped(domain))</b>.</p><dl>"
        body += Self.row("Host name", hostinfo.hostname.isEmpty ? "(none)" : hostinfo.hostname)
        body += Self.row("System", [hostinfo.os, hostinfo.osVersion].filter { !$0.isEmpty }.joined(separator: " "))
        body += Self.row("Machine key", login.machineKey.short)
        if let address = login.remoteAddress { body += Self.row("Asked from", address) }
        body += "</dl><p>Only go on if you started this yourself.</p>"
        if let notice { body += "<p role=\"alert\"><b>\(WebPage.escaped(notice))</b></p>" }
        body += "<form method=\"post\"><input type=\"hidden\" name=\"token\" value=\"\(login.formToken)\">"
        if check != nil {
            body += WebPage.credentialField
        }
        body += "<button type=\"submit\">Let this machine join</button></form>"
        return WebPage.html(status, title: "A machine wants to join", body)
    }

    /// The tailnet's name, for the page.
    let domain: String

    private static func row(_ name: String, _ value: String) -> String {
        "<dt>\(name)</dt><dd>\(WebPage.escaped(value))</dd>"
    }
}
