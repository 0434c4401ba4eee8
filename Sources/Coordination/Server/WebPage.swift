import NIOCore
import NIOHTTP1

/// What the pages for people share: their frame, and the reading of their forms.
enum WebPage {
    /// A page under a title.
    static func html(_ status: HTTPResponseStatus, title: String, _ body: String) -> HTTPReply {
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

    /// The fields of a form that came from our own page, which put `token` into it; nil for any other.
    static func form(of call: HTTPCall, token: String) -> [String: String]? {
        if let origin = call.head.headers.first(name: "origin"), !isOwn(origin, call.head.headers) { return nil }
        let form = form(String(buffer: call.body))
        return form["token"] == token ? form : nil
    }

    /// What is answered to a form from elsewhere.
    static let foreignForm = html(
        .forbidden,
        title: "Refused",
        "<p>The form is not from this page. Open the link again.</p>"
    )

    /// The field for the administrator's token.
    static let credentialField =
        "<p><label>Administrator's token <input type=\"password\" name=\"credential\" "
        + "autocomplete=\"off\" required></label></p>"

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
