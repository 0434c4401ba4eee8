import AsyncHTTPClient
import Foundation
import NIOCore
import NIOHTTP1
import TestSupport

/// A person with an HTTP client.
struct API: Sendable {
    let base: String
    var token: String?

    /// What came back.
    struct Answer: Sendable, CustomStringConvertible {
        let status: Int
        let body: Data
        private let headers: HTTPHeaders

        init(status: Int, headers: HTTPHeaders, body: Data) {
            self.status = status
            self.headers = headers
            self.body = body
        }

        /// The value of a header field, or nil.
        func header(_ name: String) -> String? { headers.first(name: name) }
        /// The body as JSON; null when it is none.
        var json: JSONValue { (try? JSONValue(parsing: body)) ?? .null }
        var description: String { "\(status) \(String(decoding: body.prefix(2000), as: UTF8.self))" }
    }

    /// The methods of the API.
    enum Method: String {
        case GET, POST, PUT, PATCH, DELETE
    }

    /// Sends one request; `json` is its body as text.
    func send(
        _ method: Method,
        _ path: String,
        _ json: String? = nil,
        headers: [(String, String)] = []
    ) async throws -> Answer {
        var request = HTTPClientRequest(url: base + path)
        request.method = HTTPMethod(rawValue: method.rawValue)
        if let token { request.headers.add(name: "Authorization", value: "Bearer \(token)") }
        if let json {
            request.headers.add(name: "Content-Type", value: "application/json")
            request.body = .bytes(ByteBuffer(string: json))
        }
        for (name, value) in headers { request.headers.replaceOrAdd(name: name, value: value) }
        let response = try await HTTPClient.shared.execute(request, timeout: .seconds(90))
        let body = try await response.body.collect(upTo: 8 << 20)
        return Answer(status: Int(response.status.code), headers: response.headers, body: Data(body.readableBytesView))
    }

    /// Creates a VM from the members of its body; the answer must be 201.
    func createVM(_ body: String, wait: String? = nil) async throws -> JSONValue {
        let answer = try await send(.POST, "/v1/vms" + (wait.map { "?wait=\($0)&timeout=40s" } ?? ""), body)
        guard answer.status == 201 else { throw HarnessError("create answered \(answer)") }
        return answer.json
    }

    /// A fresh auth key of the embedded coordination server.
    func authKey(_ body: String = "{}") async throws -> String {
        let answer = try await send(.POST, "/v1/tailnet/auth-keys", body)
        guard let key = answer.json.key?.string else { throw HarnessError("auth key: \(answer)") }
        return key
    }

    /// Waits for a condition of `GET …/wait`; fails with the VM as it is when the time is up.
    @discardableResult
    func wait(_ vm: String, _ condition: String, timeout: String = "40s") async throws -> JSONValue {
        let answer = try await send(.GET, "/v1/vms/\(vm)/wait?\(condition)&timeout=\(timeout)")
        guard answer.json.reached?.bool == true, let machine = answer.json.vm else {
            throw HarnessError("\(vm) did not reach \(condition): \(answer)")
        }
        return machine
    }

    /// Runs a shell command in a guest.
    func shell(_ vm: String, _ command: String, timeout: String = "30s") async throws -> ShellResult {
        let body = JSONValue.object([
            "command": .array([.string("sh"), .string("-c"), .string(command)]), "timeout": .string(timeout),
        ])
        let answer = try await send(.POST, "/v1/vms/\(vm)/exec", String(decoding: body.data, as: UTF8.self))
        guard answer.status == 200 else { throw HarnessError("exec answered \(answer)") }
        func text(_ member: JSONValue?) -> String {
            member?.string.flatMap { Data(base64Encoded: $0) }.map { String(decoding: $0, as: UTF8.self) } ?? ""
        }
        return ShellResult(
            exitCode: answer.json.exitCode?.int,
            output: text(answer.json.stdoutBase64),
            errors: text(answer.json.stderrBase64)
        )
    }
}

/// How a command in a guest ended.
struct ShellResult: Sendable, CustomStringConvertible {
    let exitCode: Int?
    let output: String
    let errors: String
    var description: String { "exit \(exitCode.map(String.init) ?? "none")\n\(output)\n\(errors)" }
}
