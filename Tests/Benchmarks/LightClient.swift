import ControlPlane
import Foundation
import NIOCore
import NIOHTTP1
import NIOPosix
import NetTypes
import Synchronization
import Tailcfg
import WarrenCrypto

/// A client as far as the server sees it; of the maps it looks at nothing but names, so that a thousand fit into one process.
final class LightClient: Sendable {
    private struct Loopback: DialPolicy {
        func permits(_ address: IPAddress, for purpose: DialPurpose) -> Bool { address.isLoopback }
    }

    private struct Seen {
        var mapCount = 0
        var lastMap = ContinuousClock.now
        var heard: ContinuousClock.Instant?
    }

    /// How many full maps came.
    var mapCount: Int { seen.withLock { $0.mapCount } }
    /// When the last of them came.
    var lastMap: ContinuousClock.Instant { seen.withLock { $0.lastMap } }
    /// When the client first heard of the node that it waits for.
    var heard: ContinuousClock.Instant? { seen.withLock { $0.heard } }

    private let hostname: String
    private let seen = Mutex(Seen())
    private let transport: ControlTransport
    private let nodeKey = NodePrivateKey().publicKey
    private let discoKey = DiscoPrivateKey().publicKey
    private let wanted: String

    /// A client that notes when it hears of a node that is called `wanted`.
    init(_ hostname: String, url: String, wanted: String) {
        self.hostname = hostname
        self.wanted = wanted
        guard let controlURL = try? ControlURL(url) else { preconditionFailure("\(url) is no URL") }
        transport = ControlTransport(
            configuration: ControlConfiguration(
                url: controlURL,
                machineKey: MachinePrivateKey(),
                capabilityVersion: UInt16(CapabilityVersion.current.rawValue)
            ),
            eventLoop: MultiThreadedEventLoopGroup.singleton.next(),
            policy: Loopback()
        )
    }

    /// Registers and stays, coming back with a client's back-off, until the task is cancelled.
    func run(authKey: String) async {
        var backoff = Backoff()
        var generator = SystemRandomNumberGenerator()
        var isRegistered = false
        var serverKey: MachinePublicKey?
        while !Task.isCancelled {
            do {
                let key: MachinePublicKey
                if let serverKey { key = serverKey } else { key = try await transport.fetchServerKey() }
                serverKey = key
                let connection = try await transport.connect(serverKey: key)
                defer { connection.channel.close(promise: nil) }
                if !isRegistered {
                    try await register(connection, authKey: authKey)
                    isRegistered = true
                }
                try await poll(connection) { backoff.reset() }
            } catch {
                // The server is away.
            }
            // A cancelled wait ends the loop.
            try? await Task.sleep(for: backoff.next(using: &generator))
        }
    }

    private func register(_ connection: ControlConnection, authKey: String) async throws {
        var hostinfo = Hostinfo()
        hostinfo.hostname = hostname
        hostinfo.os = "linux"
        var request = RegisterRequest(version: .current, nodeKey: nodeKey, hostinfo: hostinfo)
        request.authKey = authKey
        let reply = try await connection.perform(try post("/machine/register", request), deadline: .seconds(60))
        try reply.requireOK()
    }

    private func poll(_ connection: ControlConnection, _ began: () -> Void) async throws {
        var hostinfo = Hostinfo()
        hostinfo.hostname = hostname
        hostinfo.os = "linux"
        var request = MapRequest(version: .current, nodeKey: nodeKey, discoKey: discoKey, hostinfo: hostinfo)
        var update = request
        request.stream = true
        request.compress = MapCompression.zstd.rawValue
        let stream = try await connection.openMap(
            try post("/machine/map", request),
            maximumByteCount: 64 << 20,
            watchdog: .seconds(120)
        )
        update.omitPeers = true
        update.endpoints = [AddressPort(.v4(IPv4Address(192, 0, 2, 1)), port: 41641)]
        _ = try await connection.perform(try post("/machine/map", update), deadline: .seconds(60))
        began()
        try await stream.executeThenClose { inbound, _ in
            var isFirst = true
            for try await message in inbound {
                // The names in a full map are of no interest here.
                note(isFirst ? "" : try text(of: message), isFirst: isFirst)
                isFirst = false
            }
        }
    }

    private func note(_ text: String, isFirst: Bool) {
        let now = ContinuousClock.now
        let isWanted = text.contains("\"\(wanted).")
        seen.withLock { seen in
            if isFirst {
                seen.mapCount += 1
                seen.lastMap = now
            }
            if isWanted, seen.heard == nil { seen.heard = now }
        }
    }

    private func text(of message: ByteBuffer) throws -> String {
        String(buffer: try MapFrameDecoder.unfold(message, compression: .zstd))
    }

    private func post(_ path: String, _ body: some Encodable) throws -> ControlRequest {
        ControlRequest(.POST, path, body: ByteBuffer(bytes: try JSONEncoder().encode(body)))
    }
}
