import FoundationEssentials
package import NIOCore
import NetTypes
package import WarrenCrypto

/// What a client says about itself when it logs in.
package struct DERPClientInfo: Codable, Hashable, Sendable {
    /// The protocol version.
    package var version = DERPConstants.version
    /// Whether the client answers pings.
    package var canAckPings = true
    /// Whether the client only measures.
    package var isProber = false
    /// A name for statistics.
    package var appName = ""

    /// A client that answers pings.
    package init() {}

    private enum CodingKeys: String, CodingKey {
        case version
        case canAckPings = "CanAckPings"
        case isProber = "IsProber"
        case appName = "AppName"
    }

    /// Reads the JSON; absent members are zero.
    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        version = try container.decodeIfPresent(Int.self, forKey: .version) ?? 0
        canAckPings = try container.decodeIfPresent(Bool.self, forKey: .canAckPings) ?? false
        isProber = try container.decodeIfPresent(Bool.self, forKey: .isProber) ?? false
        appName = try container.decodeIfPresent(String.self, forKey: .appName) ?? ""
    }

    /// Writes the JSON; optional members only when they say something.
    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(version, forKey: .version)
        try container.encode(canAckPings, forKey: .canAckPings)
        if isProber { try container.encode(true, forKey: .isProber) }
        if !appName.isEmpty { try container.encode(appName, forKey: .appName) }
    }
}

/// What a server says when a login succeeded.
package struct DERPServerInfo: Codable, Hashable, Sendable {
    /// The protocol version.
    package var version = DERPConstants.version
    /// How many octets a second the client may send, when the server limits that.
    package var tokenBucketBytesPerSecond: Int?
    /// How many octets the client may send at once.
    package var tokenBucketBytesBurst: Int?

    /// A server without limits.
    package init() {}

    private enum CodingKeys: String, CodingKey {
        case version
        case tokenBucketBytesPerSecond = "TokenBucketBytesPerSecond"
        case tokenBucketBytesBurst = "TokenBucketBytesBurst"
    }
}

/// The client's half of a login: ServerKey in, ClientInfo out, ServerInfo in.
package struct DERPClientHandshake: Sendable {
    private let privateKey: NodePrivateKey
    private let info: DERPClientInfo
    private var box: NaClBox?

    /// The server's key, once it was heard.
    package private(set) var serverKey: NodePublicKey?

    /// A login as the holder of `privateKey`.
    package init(privateKey: NodePrivateKey, info: DERPClientInfo = DERPClientInfo()) {
        self.privateKey = privateKey
        self.info = info
    }

    /// Takes the first frame of the server and gives the ClientInfo to send.
    /// - Throws: `.badGreeting`.
    package mutating func greet(_ frame: DERPFrame) throws(DERPError) -> DERPFrame {
        guard case .serverKey(let key) = frame, serverKey == nil else { throw .badGreeting }
        do throws(CryptoError) {
            let box = try NaClBox(precomputing: privateKey, key)
            self.box = box
            serverKey = key
            return .clientInfo(privateKey.publicKey, sealed: try DERPSealedJSON.seal(info, box: box))
        } catch { throw .badGreeting }
    }

    /// Opens a ServerInfo; one that does not open is fatal at any time.
    /// - Throws: `.badInfo`.
    package func open(serverInfo sealed: ByteBuffer) throws(DERPError) -> DERPServerInfo {
        guard let box, let info = DERPSealedJSON.open(sealed, as: DERPServerInfo.self, box: box) else {
            throw .badInfo
        }
        return info
    }
}

/// The server's half of a login.
package struct DERPServerHandshake: Sendable {
    private let privateKey: NodePrivateKey

    /// A server that holds `privateKey`.
    package init(privateKey: NodePrivateKey) {
        self.privateKey = privateKey
    }

    /// The frame to send first.
    package var greeting: DERPFrame { .serverKey(privateKey.publicKey) }

    /// A login that was understood; whether it is admitted is the caller's decision.
    package struct Login: Sendable {
        /// Who logs in, proven by the sealed message.
        package let client: NodePublicKey
        /// What the client says about itself.
        package let info: DERPClientInfo
        /// The ServerInfo to send when the client is admitted.
        package let reply: DERPFrame
    }

    /// Takes the client's first frame.
    /// - Throws: `.malformedFrame` for another frame, `.badInfo` when it does not open.
    package func accept(
        _ frame: DERPFrame,
        info: DERPServerInfo = DERPServerInfo()
    ) throws(DERPError) -> Login {
        guard case .clientInfo(let client, let sealed) = frame else { throw .malformedFrame }
        do throws(CryptoError) {
            let box = try NaClBox(precomputing: privateKey, client)
            guard let said = DERPSealedJSON.open(sealed, as: DERPClientInfo.self, box: box) else {
                throw CryptoError.authenticationFailed
            }
            return Login(
                client: client,
                info: said,
                reply: .serverInfo(sealed: try DERPSealedJSON.seal(info, box: box))
            )
        } catch { throw .badInfo }
    }
}

/// JSON sealed between a node key and a server key.
enum DERPSealedJSON {
    static func seal(_ value: some Encodable, box: NaClBox) throws(CryptoError) -> ByteBuffer {
        do {
            let json = [UInt8](try JSONEncoder().encode(value))
            return ByteBuffer(bytes: box.seal(json.span))
        } catch { throw .badLength }
    }

    static func open<Value: Decodable>(_ sealed: ByteBuffer, as type: Value.Type, box: NaClBox) -> Value? {
        guard let json = box.open(sealed.readableBytesUInt8Span) else { return nil }
        // What does not decode is refused like what does not open.
        return try? JSONDecoder().decode(type, from: Data(json))
    }
}
