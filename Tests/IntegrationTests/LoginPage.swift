import AsyncHTTPClient
import Foundation
import NIOCore
import NIOHTTP1

/// A person who opens a login URL and presses its button.
enum LoginPage {
    /// Opens the page, reads its form token, and sends the form.
    static func approve(_ url: String) async throws {
        let opened = try await HTTPClient.shared.execute(HTTPClientRequest(url: url), timeout: .seconds(10))
        let page = String(buffer: try await opened.body.collect(upTo: 1 << 20))
        guard opened.status == .ok, let token = page.firstMatch(of: /name="token"[^>]*value="([^"]*)"/)?.output.1 else {
            throw HarnessError("login page: \(opened.status) \(page)")
        }
        var form = HTTPClientRequest(url: url)
        form.method = .POST
        form.headers.add(name: "Content-Type", value: "application/x-www-form-urlencoded")
        for cookie in opened.headers["set-cookie"] {
            form.headers.add(name: "Cookie", value: String(cookie.prefix { $0 != ";" }))
        }
        form.body = .bytes(ByteBuffer(string: "token=\(token)&action=approve"))
        let answer = try await HTTPClient.shared.execute(form, timeout: .seconds(10))
        guard answer.status == .ok || answer.status == .seeOther else {
            throw HarnessError("approval: \(answer.status)")
        }
    }
}
