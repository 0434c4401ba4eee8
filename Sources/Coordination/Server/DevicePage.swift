import NIOCore
import NIOHTTP1
import Tailcfg
import WarrenCrypto

/// The page behind `/admin`, which clients name while they wait for approval: which machines wait, and a button for each.
///
/// Machines are listed only where this host alone can reach the page; elsewhere the administrator names the machine.
struct DevicePage: Sendable {
    let registry: NodeRegistry
    /// Checks the administrator's token; nil when none is asked for, because only this host can reach the server.
    let check: (@Sendable (String) async -> Bool)?
    /// Proves that a form came from the page.
    private let formToken = AuthKeyText.hex(RandomBytes.make(count: 16))

    init(registry: NodeRegistry, check: (@Sendable (String) async -> Bool)?) {
        self.registry = registry
        self.check = check
    }

    /// The page.
    func show() async -> HTTPReply { await page(.ok, notice: nil) }

    /// A button was pressed.
    func submit(_ call: HTTPCall) async -> HTTPReply {
        guard let form = WebPage.form(of: call, token: formToken) else { return WebPage.foreignForm }
        if let check {
            guard let credential = form["credential"], !credential.isEmpty, await check(credential) else {
                return await page(.forbidden, notice: "That is not an administrator's token.")
            }
        }
        do {
            let approved = try await registry.approveNode(form["node"] ?? "")
            return await page(.ok, notice: "\(approved.node.givenName) may take part now.")
        } catch CoordinationError.nodeNotFound {
            return await page(.notFound, notice: "There is no such machine.")
        } catch {
            return WebPage.html(.internalServerError, title: "Failed", "<p>The machine could not be approved.</p>")
        }
    }

    private func page(_ status: HTTPResponseStatus, notice: String?) async -> HTTPReply {
        var body = notice.map { "<p role=\"alert\"><b>\(WebPage.escaped($0))</b></p>" } ?? ""
        if check == nil {
            let waiting = await registry.nodes().map(\.node).filter { !$0.isApproved }
            if waiting.isEmpty { body += "<p>No machine waits for approval.</p>" }
            for node in waiting {
                let about = [node.hostinfo.os, node.machineKey.short].filter { !$0.isEmpty }.joined(separator: ", ")
                body +=
                    "<form method=\"post\"><p><b>\(WebPage.escaped(node.givenName))</b> (\(WebPage.escaped(about))) "
                body += hidden("token", formToken) + hidden("node", node.id.description)
                body += "<button type=\"submit\">Let it take part</button></p></form>"
            }
        } else {
            body += "<form method=\"post\">" + hidden("token", formToken)
            body += "<p><label>Name of the machine <input name=\"node\" required></label></p>"
            body += WebPage.credentialField + "<button type=\"submit\">Let it take part</button></form>"
        }
        return WebPage.html(status, title: "Machines that wait for approval", body)
    }

    private func hidden(_ name: String, _ value: String) -> String {
        "<input type=\"hidden\" name=\"\(name)\" value=\"\(WebPage.escaped(value))\">"
    }
}
