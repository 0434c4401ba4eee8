import AsyncHTTPClient
import Foundation
import HTTPTypes
import Logging
import NIOCore
import NIOHTTP1
import NIOPosix
import NetTypes
import ServiceLifecycle
import Store
import Testing
import WarrenAPI
import WarrenModel

@Suite("APIServer", .timeLimit(.minutes(1)))
struct APIServerTests {
    /// Serves an API at a port and at a Unix socket while the test runs, and ends it gracefully.
    private func serving(
        _ api: APIHarness,
        _ body: @Sendable @escaping (_ url: String, _ socketPath: String, ServiceGroup) async throws -> Void
    ) async throws {
        let socketPath = "/tmp/warren-api-\(UUID().uuidString.prefix(8)).sock"
        let (addresses, listening) = AsyncStream.makeStream(of: AddressPort?.self, bufferingPolicy: .bufferingOldest(2))
        func server(_ address: APIServer.Address) -> APIServer {
            APIServer(
                router: api.router,
                address: address,
                database: api.database,
                group: .singleton,
                logger: APIHarness.silent
            ) { listening.yield($0) }
        }
        let group = ServiceGroup(
            configuration: ServiceGroupConfiguration(
                services: [
                    server(.tcp(AddressPort(.v4(.loopback), port: 0), nil)), server(.unixSocket(socketPath)),
                ],
                logger: APIHarness.silent
            )
        )
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await group.run() }
            var url: String?
            var iterator = addresses.makeAsyncIterator()
            for _ in 0..<2 {
                if let address = await iterator.next() ?? nil { url = "http://\(address)" }
            }
            try await body(try #require(url), socketPath, group)
            await group.triggerGracefulShutdown()
            try await tasks.waitForAll()
        }
        #expect(!FileManager.default.fileExists(atPath: socketPath))
    }

    private func request(_ url: String, _ headers: [(String, String)] = []) -> HTTPClientRequest {
        var request = HTTPClientRequest(url: url)
        for (name, value) in headers { request.headers.add(name: name, value: value) }
        return request
    }

    @Test func `the same API is served at the port, with a token, and at the socket, without`() async throws {
        try await APIHarness.with { api in
            try await serving(api) { url, socketPath, _ in
                let health = try await HTTPClient.shared.execute(request(url + "/livez"), timeout: .seconds(20))
                #expect(health.status.code == 200)
                let refused = try await HTTPClient.shared.execute(request(url + "/v1"), timeout: .seconds(20))
                #expect(refused.status.code == 401)
                let escaped = socketPath.replacing("/", with: "%2F")
                let local = try await HTTPClient.shared.execute(
                    request("http+unix://\(escaped)/v1"),
                    timeout: .seconds(20)
                )
                #expect(local.status.code == 200)
                let attributes = try FileManager.default.attributesOfItem(atPath: socketPath)
                #expect(attributes[.posixPermissions] as? Int == 0o660)
            }
        }
    }

    @Test func `a stream of events goes on with what happens, and ends with the daemon`() async throws {
        try await APIHarness.with { api in
            try await serving(api) { url, _, group in
                let stream = try await HTTPClient.shared.execute(
                    request(
                        url + "/v1/events",
                        [("Authorization", "Bearer \(api.adminToken)"), ("Accept", "text/event-stream")]
                    ),
                    timeout: .seconds(30)
                )
                #expect(stream.headers.first(name: "Content-Type") == "text/event-stream")
                _ = try await api.send(.post, "/v1/vms", body: #"{"name": "web"}"#)
                var text = ""
                for try await chunk in stream.body {
                    text += String(buffer: chunk)
                    if text.contains("\n\n"), text.contains("event: vm.created") {
                        await group.triggerGracefulShutdown()
                    }
                }
                #expect(text.contains("id: 1\nevent: vm.created\ndata: {"))
            }
        }
    }

    @Test func `what is no HTTP is told so in a problem document`() async throws {
        try await APIHarness.with { api in
            try await serving(api) { url, _, _ in
                let port = try #require(WebURL(url)?.port)
                let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                    .connect(host: "127.0.0.1", port: Int(port)) { channel in
                        channel.eventLoop.makeCompletedFuture {
                            try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
                        }
                    }
                let text = try await channel.executeThenClose { inbound, outbound in
                    try await outbound.write(ByteBuffer(string: "HELLO THERE\r\n\r\n"))
                    var text = ""
                    for try await chunk in inbound { text += String(buffer: chunk) }
                    return text
                }
                #expect(text.hasPrefix("HTTP/1.1 400 Bad Request"))
                #expect(text.contains("/problems/malformed-request"))
            }
        }
    }

    @Test func `an address that somebody holds is named`() async throws {
        try await APIHarness.with { api in
            try await serving(api) { url, socketPath, _ in
                let port = try #require(WebURL(url)?.port)
                for address in [
                    APIServer.Address.tcp(AddressPort(.v4(.loopback), port: port), nil), .unixSocket(socketPath),
                ] {
                    let second = APIServer(
                        router: api.router,
                        address: address,
                        database: api.database,
                        group: .singleton,
                        logger: APIHarness.silent
                    ) { _ in }
                    await #expect(throws: APIServerError.self) { try await second.run() }
                }
            }
        }
    }
}
