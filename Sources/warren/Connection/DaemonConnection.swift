import AsyncHTTPClient
import Glibc
import NIOCore
import NIOHTTP1
import NIOPosix
import WarrenModel

/// What a request does.
enum RequestMethod: String {
    case GET, POST, PUT, PATCH, DELETE
}

/// The HTTP conversation with one daemon.
struct DaemonConnection {
    private let address: DaemonAddress
    private let token: String?
    private let client: HTTPClient

    // An answer holds at most the output of a command, twice 1 MiB in base 64, or a console log.
    private static let largestAnswer = 64 << 20

    /// A conversation that opens connections as they are needed.
    init(address: DaemonAddress, token: String?) {
        self.address = address
        self.token = token
        var configuration = HTTPClient.Configuration()
        configuration.timeout.connect = .seconds(10)
        configuration.redirectConfiguration = .disallow
        client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }

    /// Ends the conversation.
    func close() async {
        // The process ends; a connection that does not close in order is none to report.
        try? await client.shutdown()
    }

    /// Asks, and gives the body of a good answer.
    func bytes(_ method: RequestMethod, _ target: String, body: JSONTree? = nil, accept: String? = nil) async throws
        -> [UInt8]
    {
        var body = try await answer(method, target, body: body, accept: accept).body.collect(upTo: Self.largestAnswer)
        return body.readBytes(length: body.readableBytes) ?? []
    }

    /// Asks, and gives each chunk of a good answer as it comes.
    func stream(_ target: String, accept: String, _ each: (ByteBuffer) throws -> Void) async throws {
        let response = try await answer(.GET, target, body: nil, accept: accept)
        do {
            for try await chunk in response.body { try each(chunk) }
        } catch let failure as CommandFailure {
            throw failure
        } catch {
            throw CommandFailure.notReachable(
                place: address.text,
                reason: "the stream broke (\(Self.reason(of: error)))"
            )
        }
    }

    private func answer(
        _ method: RequestMethod,
        _ target: String,
        body: JSONTree?,
        accept: String?
    ) async throws -> HTTPClientResponse {
        var request = HTTPClientRequest(url: address.url(target))
        request.method = HTTPMethod(rawValue: method.rawValue)
        request.headers.add(name: "Accept", value: accept ?? "application/json, application/problem+json")
        request.headers.add(name: "User-Agent", value: "warren/0.1.0")
        if let token { request.headers.add(name: "Authorization", value: "Bearer \(token)") }
        if let body {
            request.headers.add(name: "Content-Type", value: "application/json")
            request.body = .bytes(ByteBuffer(bytes: try ModelJSON.bytes(body)))
        }
        let response: HTTPClientResponse
        do {
            response = try await client.execute(request, deadline: .distantFuture)
        } catch {
            throw CommandFailure.notReachable(place: address.text, reason: Self.reason(of: error))
        }
        guard (200..<300).contains(response.status.code) else {
            throw try await Self.refusal(response)
        }
        return response
    }

    private static func refusal(_ response: HTTPClientResponse) async throws -> CommandFailure {
        let body = try await response.body.collect(upTo: 1 << 20)
        let text = String(buffer: body)
        if let problem = try? ModelJSON.decode(Problem.self, from: text) { return .refused(problem) }
        return .unexpectedAnswer(status: Int(response.status.code), text: text)
    }

    private static func reason(of error: any Error) -> String {
        switch error {
        case let error as HTTPClientError where error == .connectTimeout: "no answer within 10 s"
        case let error as HTTPClientError where error == .remoteConnectionClosed: "the connection was closed"
        case let error as IOError: strerror(error.errnoCode).map { String(cString: $0) } ?? "error \(error.errnoCode)"
        case let error as NIOConnectionError:
            error.connectionErrors.first.map { reason(of: $0.error) } ?? "no address answers"
        default: "\(error)"
        }
    }
}
