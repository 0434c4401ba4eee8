import ControlPlane
import Coordination
import Foundation
import NIOCore
import NIOHTTP1
import NIOPosix
import NetTypes
import Tailcfg
import Testing
import WarrenCrypto
import WarrenModel

/// What a client gets inside Noise beyond the ordinary course.
@Suite("Requests inside Noise", .timeLimit(.minutes(1)))
struct NoiseSurfaceTests {
    private struct Loopback: DialPolicy {
        func permits(_ address: IPAddress, for purpose: DialPurpose) -> Bool { address.isLoopback }
    }

    private func connect(
        _ server: CoordinationServer,
        as machineKey: MachinePrivateKey = MachinePrivateKey()
    ) async throws -> ControlConnection {
        let transport = ControlTransport(
            configuration: ControlConfiguration(
                url: try ControlURL(server.serverURL),
                machineKey: machineKey,
                capabilityVersion: 131
            ),
            eventLoop: MultiThreadedEventLoopGroup.singleton.next(),
            policy: Loopback()
        )
        return try await transport.connect(serverKey: try await transport.fetchServerKey())
    }

    private func send(
        _ connection: ControlConnection,
        _ method: HTTPMethod,
        _ path: String,
        _ body: String = ""
    ) async throws -> (status: Int, body: String) {
        let reply = try await connection.perform(
            ControlRequest(method, path, body: ByteBuffer(string: body)),
            deadline: .seconds(20)
        )
        return (Int(reply.head.status.code), String(buffer: reply.body))
    }

    private func json(_ value: some Encodable) throws -> String {
        String(decoding: try JSONEncoder().encode(value), as: UTF8.self)
    }

    @Test func `what nobody implements is refused without closing the connection`() async throws {
        try await withServer(in: StateDirectory()) { server in
            let connection = try await connect(server)
            for (method, path, status) in [
                (HTTPMethod.POST, "/machine/set-dns", 501), (.POST, "/machine/id-token", 501),
                (.GET, "/machine/tka/bootstrap", 501), (.PATCH, "/machine/set-device-attr", 501),
                (.HEAD, "/c2n/unknown", 404), (.POST, "/machine/update-health", 204), (.GET, "/machine/whoami", 200),
            ] {
                #expect(try await send(connection, method, path, "{}").status == status, "\(path)")
            }
            let feature = try await send(connection, .POST, "/machine/feature/query", #"{"Feature":"serve"}"#)
            #expect(feature.status == 200 && feature.body.contains(#""Complete":false"#))
            #expect(connection.isUsable)
            await connection.close()
        }
    }

    @Test func `bodies that are no requests are refused, large ones early`() async throws {
        try await withServer(in: StateDirectory()) { server in
            let connection = try await connect(server)
            for body in ["", "{", "[]", "null", #"{"NodeKey":"nodekey:12"}"#, #"{"Version":"x"}"#] {
                #expect(try await send(connection, .POST, "/machine/register", body).status == 400, "\(body)")
                #expect(try await send(connection, .POST, "/machine/map", body).status == 400, "\(body)")
            }
            // Zeros are JSON, but no registration.
            let zeros = try await send(connection, .POST, "/machine/register", "{}")
            #expect(zeros.status == 200 && zeros.body.contains("node key missing"))
            let large = #"{"Followup":""# + String(repeating: "a", count: 1 << 20) + #""}"#
            #expect(try await send(connection, .POST, "/machine/register", large).status == 413)
            #expect(connection.isUsable)
            await connection.close()
        }
    }

    @Test func `a map for unknown, foreign and old clients`() async throws {
        try await withServer(in: StateDirectory()) { server in
            let own = MachinePrivateKey()
            let connection = try await connect(server, as: own)
            let machine = TestMachine("web")
            let unknown = try await send(connection, .POST, "/machine/map", try json(machine.update()))
            #expect(unknown.status == 404 && unknown.body == "node not found")
            let key = try await server.createAuthKey(CreateAuthKeyRequest()).key
            let registration = try json(machine.registration(authKey: key))
            #expect(try await send(connection, .POST, "/machine/register", registration).status == 200)
            let update = try await send(connection, .POST, "/machine/map", try json(machine.update()))
            #expect(update.status == 200 && update.body.isEmpty)

            let foreign = try await connect(server)
            let stolen = try await send(foreign, .POST, "/machine/map", try json(machine.update()))
            #expect(stolen.status == 404 && stolen.body == unknown.body)
            let theft = try await send(foreign, .POST, "/machine/register", registration)
            #expect(theft.body.contains("node key in use") && !theft.body.contains("admin"))

            var old = machine.update()
            old.version = 90
            let refused = try await send(connection, .POST, "/machine/map", try json(old))
            #expect(refused.status == 400 && refused.body.hasPrefix("unsupported client version 90"))
            var packed = machine.poll()
            packed.compress = "gzip"
            #expect(try await send(connection, .POST, "/machine/map", try json(packed)).status == 400)
            await connection.close()
            await foreign.close()
        }
    }

    @Test(arguments: ["", "zstd"])
    func `a fetch is answered by one framed map`(_ compression: String) async throws {
        try await withServer(in: StateDirectory()) { server in
            let connection = try await connect(server)
            let machine = TestMachine("web")
            let key = try await server.createAuthKey(CreateAuthKeyRequest()).key
            _ = try await send(connection, .POST, "/machine/register", try json(machine.registration(authKey: key)))
            var request = machine.poll()
            request.stream = false
            request.compress = compression
            let reply = try await connection.perform(
                ControlRequest(.POST, "/machine/map", body: ByteBuffer(string: try json(request))),
                deadline: .seconds(20)
            )
            var frames = MapFrameDecoder()
            frames.append(reply.body)
            let message = try #require(try frames.next())
            let document = try MapFrameDecoder.unfold(
                message,
                compression: try #require(MapCompression(rawValue: compression))
            )
            let map = try JSONDecoder().decode(MapResponse.self, from: Data(document.readableBytesView))
            #expect(map.node?.key == machine.nodeKey)
            #expect(try frames.next() == nil)
            await connection.close()
        }
    }

    @Test func `a machine holds eight connections and no more`() async throws {
        try await withServer(in: StateDirectory()) { server in
            let machineKey = MachinePrivateKey()
            var connections: [ControlConnection] = []
            for _ in 0..<8 {
                let connection = try await connect(server, as: machineKey)
                #expect(try await send(connection, .GET, "/machine/whoami").status == 200)
                connections.append(connection)
            }
            await #expect(throws: ControlError.self) {
                let ninth = try await connect(server, as: machineKey)
                _ = try await send(ninth, .GET, "/machine/whoami")
            }
            let other = try await connect(server)
            #expect(try await send(other, .GET, "/machine/whoami").status == 200)
            for connection in connections + [other] { await connection.close() }
        }
    }
}
