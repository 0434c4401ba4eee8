import ControlPlane
import Coordination
import Foundation
import Logging
import NIOCore
import NIOPosix
import NIOSSL
import NetTypes
import ServiceLifecycle
import Store
import Tailcfg
import Testing
import WarrenCrypto

/// A state directory that vanishes with the test.
final class StateDirectory: Sendable {
    let path: String

    init() throws {
        path = NSTemporaryDirectory() + "warren-coordination-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}

private let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

/// Runs a real server on loopback, with its state in a real database, while `body` runs.
func withServer(
    in directory: StateDirectory,
    configuration: CoordinationConfiguration = CoordinationConfiguration(),
    approvalCheck: @escaping @Sendable (String) async -> Bool = { _ in false },
    _ body: (CoordinationServer) async throws -> Void
) async throws {
    try await withServer(
        in: directory,
        configuration: configuration,
        approvalCheck: approvalCheck,
        inServiceGroup: false
    ) {
        server,
        _ in try await body(server)
    }
}

/// Like its short form; `body` may also shut the server down gracefully, as the daemon does.
func withServer(
    in directory: StateDirectory,
    configuration: CoordinationConfiguration = CoordinationConfiguration(),
    approvalCheck: @escaping @Sendable (String) async -> Bool = { _ in false },
    inServiceGroup: Bool,
    _ body: (CoordinationServer, () async -> Void) async throws -> Void
) async throws {
    let database = try WarrenDatabase(stateDirectory: directory.path, logger: quiet)
    let server = try await CoordinationServer.bind(
        configuration,
        persistence: StorePersistence(database),
        approvalCheck: approvalCheck,
        now: { ControlTime(Date()) },
        group: MultiThreadedEventLoopGroup.singleton,
        logger: quiet
    )
    try await withThrowingTaskGroup { group in
        let services = ServiceGroup(services: [server], logger: quiet)
        group.addTask { try await inServiceGroup ? services.run() : server.run() }
        try await body(server) { await services.triggerGracefulShutdown() }
        group.cancelAll()
        while true {
            do {
                guard try await group.next() != nil else { break }
            } catch is CancellationError {}
        }
    }
    try database.close()
}

/// A client with a real connection.
final class LiveMachine: Sendable {
    let machine: TestMachine
    let client: ControlClient

    private struct Loopback: DialPolicy {
        func permits(_ address: IPAddress, for purpose: DialPurpose) -> Bool { address.isLoopback }
    }

    convenience init(_ hostname: String, server: CoordinationServer) throws {
        try self.init(hostname, url: server.serverURL)
    }

    init(_ hostname: String, url: String) throws {
        let machineKey = MachinePrivateKey()
        machine = TestMachine(hostname)
        client = ControlClient(
            configuration: ControlConfiguration(
                url: try ControlURL(url),
                machineKey: machineKey,
                capabilityVersion: UInt16(CapabilityVersion.current.rawValue)
            ),
            eventLoop: MultiThreadedEventLoopGroup.singleton.next(),
            dialPolicy: Loopback(),
            logger: quiet
        )
    }

    /// Polls while `body` runs and hands it what came.
    func withPoll(_ body: (inout MapWatcher) async throws -> Void) async throws {
        let (stream, continuation) = AsyncStream.makeStream(
            of: MapResponse.self,
            bufferingPolicy: .bufferingOldest(1000)
        )
        try await withThrowingTaskGroup { group in
            group.addTask { [client, machine] in
                defer { continuation.finish() }
                // A poll that ends by cancellation or because the node is gone is what these tests provoke.
                try? await client.mapPoll(machine.poll()) { continuation.yield($0) }
            }
            var watcher = MapWatcher(stream)
            try await body(&watcher)
            group.cancelAll()
        }
    }
}

/// The merged state of a poll, message by message.
struct MapWatcher {
    private var messages: AsyncStream<MapResponse>.Iterator
    private var reducer = NetworkMapReducer()

    init(_ stream: AsyncStream<MapResponse>) { messages = stream.makeAsyncIterator() }

    /// Waits until the map is as wanted; throws when the stream ends before.
    mutating func map(where isWanted: (NetworkMap) -> Bool) async throws -> NetworkMap {
        if let map = reducer.map, isWanted(map) { return map }
        while let message = await messages.next(isolation: #isolation) {
            _ = try reducer.apply(message, now: ControlTime(Date()))
            if let map = reducer.map, isWanted(map) { return map }
        }
        throw StreamEnded()
    }

    struct StreamEnded: Error {}
}

/// Sends one HTTP/1.1 request over a fresh connection and returns the whole answer as text.
func exchange(_ server: CoordinationServer, _ request: String) async throws -> String {
    let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
        .connect(host: server.address.host, port: server.address.port) { channel in
            channel.eventLoop.makeCompletedFuture {
                try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
            }
        }
    return try await channel.executeThenClose { inbound, outbound in
        try await outbound.write(ByteBuffer(string: request))
        var answer = ""
        for try await chunk in inbound { answer += String(buffer: chunk) }
        return answer
    }
}

/// An answer that came over TLS, and by whom.
struct SecureAnswer {
    var text = ""
    var certificate: [UInt8] = []
}

/// Like `exchange`, over TLS with whatever certificate the server has.
func exchangeOverTLS(_ server: CoordinationServer, _ request: String) async throws -> SecureAnswer {
    var configuration = TLSConfiguration.makeClientConfiguration()
    configuration.certificateVerification = .none
    let context = try NIOSSLContext(configuration: configuration)
    let (channel, tls) = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
        .connect(host: server.address.host, port: server.address.port) { channel in
            channel.eventLoop.makeCompletedFuture {
                let handler = try NIOSSLClientHandler(context: context, serverHostname: nil)
                try channel.pipeline.syncOperations.addHandler(handler)
                return (
                    try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel),
                    NIOLoopBound(handler, eventLoop: channel.eventLoop)
                )
            }
        }
    return try await channel.executeThenClose { inbound, outbound in
        try await outbound.write(ByteBuffer(string: request))
        var answer = SecureAnswer()
        for try await chunk in inbound {
            answer.text += String(buffer: chunk)
            guard answer.certificate.isEmpty else { continue }
            answer.certificate = try await channel.channel.eventLoop.submit {
                try tls.value.peerCertificate?.toDERBytes() ?? []
            }.get()
        }
        return answer
    }
}

/// A request that asks for the connection to be closed.
func get(_ server: CoordinationServer, _ path: String) async throws -> String {
    try await exchange(server, "GET \(path) HTTP/1.1\r\nHost: \(server.address.host)\r\nConnection: close\r\n\r\n")
}

/// A form, posted.
func post(_ server: CoordinationServer, _ path: String, form: String, headers: String = "") async throws -> String {
    try await exchange(
        server,
        "POST \(path) HTTP/1.1\r\nHost: \(server.address.host)\r\nConnection: close\r\n\(headers)"
            + "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: \(form.utf8.count)\r\n\r\n\(form)"
    )
}
