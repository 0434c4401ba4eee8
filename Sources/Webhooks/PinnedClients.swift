import AsyncHTTPClient
import NIOCore
import NetTypes

/// HTTP clients that each connect to one address only, whatever the host's name resolves to meanwhile; the least used go.
actor PinnedClients {
    private struct Key: Hashable {
        let host: String
        let address: IPAddress
    }

    private struct Entry {
        let client: HTTPClient
        var users = 0
        var lastUse: UInt64
    }

    /// How many clients are kept; each holds a TLS context of about 50 KiB.
    static let capacity = 16

    /// How many deliveries to one host may be under way: more than a few that hang must not hold up the others.
    static let connectionLimit = 64

    private let group: any EventLoopGroup
    private let connectTimeout: Duration
    private var entries: [Key: Entry] = [:]
    private var useCount: UInt64 = 0

    /// Keeps clients on the loops of `group`.
    init(group: any EventLoopGroup, connectTimeout: Duration) {
        self.group = group
        self.connectTimeout = connectTimeout
    }

    /// Lends the client for a host at an address.
    func withClient<Value: Sendable>(
        host: String,
        address: IPAddress,
        _ body: (HTTPClient) async throws -> Value
    ) async throws -> Value {
        let key = Key(host: host, address: address)
        useCount += 1
        let client = entries[key]?.client ?? makeClient(key)
        entries[key, default: Entry(client: client, lastUse: useCount)].users += 1
        entries[key]?.lastUse = useCount
        let result: Result<Value, any Error>
        do { result = .success(try await body(client)) } catch { result = .failure(error) }
        entries[key]?.users -= 1
        await evict()
        return try result.get()
    }

    /// Closes every client; nobody may be using one.
    func shutdown() async {
        let clients = entries.values.map(\.client)
        entries = [:]
        // A client that cannot be shut down has nothing left to lose.
        for client in clients { try? await client.shutdown() }
    }

    private func makeClient(_ key: Key) -> HTTPClient {
        var configuration = HTTPClient.Configuration(
            redirectConfiguration: .disallow,
            timeout: .init(connect: .nanoseconds(connectTimeout.wholeNanoseconds)),
            connectionPool: .init(
                idleTimeout: .seconds(30),
                concurrentHTTP1ConnectionsPerHostSoftLimit: Self.connectionLimit
            ),
            decompression: .disabled
        )
        configuration.httpVersion = .http1Only
        configuration.connectionPool.retryConnectionEstablishment = false
        if key.host != key.address.description { configuration.dnsOverride = [key.host: key.address.description] }
        return HTTPClient(eventLoopGroupProvider: .shared(group), configuration: configuration)
    }

    private func evict() async {
        while entries.count > Self.capacity,
            let key = entries.filter({ $0.value.users == 0 }).min(by: { $0.value.lastUse < $1.value.lastUse })?.key,
            let entry = entries.removeValue(forKey: key)
        {
            // As in `shutdown`.
            try? await entry.client.shutdown()
        }
    }
}
