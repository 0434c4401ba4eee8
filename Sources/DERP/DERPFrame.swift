package import NIOCore
package import NetTypes
package import WarrenCrypto

/// The type octet of a frame.
package struct DERPFrameType: RawRepresentable, Hashable, Sendable {
    /// The octet on the wire.
    package let rawValue: UInt8
    /// Wraps the octet.
    package init(rawValue: UInt8) { self.rawValue = rawValue }

    /// Server to client: magic and the server's key.
    package static let serverKey = DERPFrameType(rawValue: 0x01)
    /// Client to server: key and sealed JSON.
    package static let clientInfo = DERPFrameType(rawValue: 0x02)
    /// Server to client: sealed JSON.
    package static let serverInfo = DERPFrameType(rawValue: 0x03)
    /// Client to server: destination and packet.
    package static let sendPacket = DERPFrameType(rawValue: 0x04)
    /// Server to client: source and packet.
    package static let receivedPacket = DERPFrameType(rawValue: 0x05)
    /// Server to client.
    package static let keepAlive = DERPFrameType(rawValue: 0x06)
    /// Client to server: whether this is its home.
    package static let notePreferred = DERPFrameType(rawValue: 0x07)
    /// Server to client: a peer left.
    package static let peerGone = DERPFrameType(rawValue: 0x08)
    /// Server to mesh: a peer came.
    package static let peerPresent = DERPFrameType(rawValue: 0x09)
    /// Between mesh servers.
    package static let forwardPacket = DERPFrameType(rawValue: 0x0A)
    /// Mesh to server.
    package static let watchConnections = DERPFrameType(rawValue: 0x10)
    /// Mesh to server.
    package static let closePeer = DERPFrameType(rawValue: 0x11)
    /// Both ways.
    package static let ping = DERPFrameType(rawValue: 0x12)
    /// Both ways.
    package static let pong = DERPFrameType(rawValue: 0x13)
    /// Server to client: a problem to show.
    package static let health = DERPFrameType(rawValue: 0x14)
    /// Server to client: when to come back.
    package static let restarting = DERPFrameType(rawValue: 0x15)
}

/// Why a peer is gone.
package struct DERPPeerGoneReason: RawRepresentable, Hashable, Sendable {
    /// The octet on the wire.
    package let rawValue: UInt8
    /// Wraps the octet.
    package init(rawValue: UInt8) { self.rawValue = rawValue }

    /// It closed its connection to this region.
    package static let disconnected = DERPPeerGoneReason(rawValue: 0)
    /// It is not connected to this region.
    package static let notHere = DERPPeerGoneReason(rawValue: 1)
}

/// One frame: `type u8 || length u32be || payload`.
///
/// | type | payload |
/// |---|---|
/// | ServerKey | magic (8), key (32), future octets |
/// | ClientInfo | key (32), sealed JSON |
/// | ServerInfo | sealed JSON |
/// | SendPacket, RecvPacket | key (32), packet |
/// | KeepAlive, WatchConns | – |
/// | NotePreferred | 0 or 1 |
/// | PeerGone | key (32), reason (may be absent) |
/// | PeerPresent | key (32), IP (16) and port (2), flags (1); the latter two may be absent |
/// | ForwardPacket | source (32), destination (32), packet |
/// | ClosePeer | key (32) |
/// | Ping, Pong | 8 octets |
/// | Health | UTF-8 text |
/// | Restarting | reconnect after, try for: milliseconds, u32be each |
package enum DERPFrame: Equatable, Sendable {
    /// The server's greeting.
    case serverKey(NodePublicKey)
    /// The client's login.
    case clientInfo(NodePublicKey, sealed: ByteBuffer)
    /// The server's answer to it.
    case serverInfo(sealed: ByteBuffer)
    /// A packet to relay.
    case sendPacket(to: NodePublicKey, packet: ByteBuffer)
    /// A relayed packet.
    case receivedPacket(from: NodePublicKey, packet: ByteBuffer)
    /// A sign of life.
    case keepAlive
    /// Whether the client calls this region its home.
    case notePreferred(Bool)
    /// A peer left, or never was here.
    case peerGone(NodePublicKey, DERPPeerGoneReason)
    /// A peer came, for mesh servers.
    case peerPresent(NodePublicKey, address: AddressPort?, flags: UInt8)
    /// A packet between mesh servers.
    case forwardPacket(from: NodePublicKey, to: NodePublicKey, packet: ByteBuffer)
    /// A mesh server wants to hear of peers.
    case watchConnections
    /// A mesh server wants a peer's connection closed.
    case closePeer(NodePublicKey)
    /// A request for a pong.
    case ping(UInt64)
    /// The answer to a ping with the same octets.
    case pong(UInt64)
    /// A problem, or its end when empty.
    case health(String)
    /// The server is about to restart.
    case restarting(reconnectMilliseconds: UInt32, tryMilliseconds: UInt32)
    /// A type that this version does not know; to be skipped.
    case unknown(DERPFrameType, ByteBuffer)
    /// A known type with a payload too short for it.
    case malformed(DERPFrameType)

    /// Reads the payload of a frame; never fails, see `malformed`.
    package init(type: DERPFrameType, payload: ByteBuffer) {
        self = Self.decode(type, payload) ?? .malformed(type)
    }

    private static func decode(_ type: DERPFrameType, _ payload: ByteBuffer) -> DERPFrame? {
        var payload = payload
        switch type {
        case .serverKey:
            guard payload.readBytes(length: DERPConstants.magic.count) == DERPConstants.magic else { return nil }
            return payload.readKey().map { .serverKey($0) }
        case .clientInfo: return payload.readKey().map { .clientInfo($0, sealed: payload) }
        case .serverInfo: return .serverInfo(sealed: payload)
        case .sendPacket: return payload.readKey().map { .sendPacket(to: $0, packet: payload) }
        case .receivedPacket: return payload.readKey().map { .receivedPacket(from: $0, packet: payload) }
        case .keepAlive: return .keepAlive
        case .notePreferred:
            guard payload.readableBytes == 1, let value: UInt8 = payload.readInteger() else { return nil }
            return .notePreferred(value != 0)
        case .peerGone:
            guard let key = payload.readKey() else { return nil }
            return .peerGone(key, DERPPeerGoneReason(rawValue: payload.readInteger() ?? 0))
        case .peerPresent: return payload.readKey().map { peerPresent($0, payload) }
        case .forwardPacket:
            guard let source = payload.readKey(), let destination = payload.readKey() else { return nil }
            return .forwardPacket(from: source, to: destination, packet: payload)
        case .watchConnections: return .watchConnections
        case .closePeer: return payload.readKey().map { .closePeer($0) }
        // Future versions may make these longer.
        case .ping: return payload.readInteger().map { .ping($0) }
        case .pong: return payload.readInteger().map { .pong($0) }
        case .health: return .health(String(decoding: payload.readableBytesView, as: UTF8.self))
        case .restarting:
            guard let wait: UInt32 = payload.readInteger(), let limit: UInt32 = payload.readInteger() else {
                return nil
            }
            return .restarting(reconnectMilliseconds: wait, tryMilliseconds: limit)
        default: return .unknown(type, payload)
        }
    }

    private static func peerPresent(_ key: NodePublicKey, _ rest: ByteBuffer) -> DERPFrame {
        var rest = rest
        guard let address = rest.readBytes(length: 16), let port: UInt16 = rest.readInteger() else {
            return .peerPresent(key, address: nil, flags: 0)
        }
        let ip = IPAddress.v6(IPv6Address(address.span, at: 0)).unmapped
        return .peerPresent(key, address: AddressPort(ip, port: port), flags: rest.readInteger() ?? 0)
    }
}

extension ByteBuffer {
    /// Reads 32 octets of a key.
    fileprivate mutating func readKey() -> NodePublicKey? {
        guard readableBytes >= NodePublicKey.byteCount else { return nil }
        let key = NodePublicKey(readableBytesUInt8Span)
        moveReaderIndex(forwardBy: NodePublicKey.byteCount)
        return key
    }

    /// Writes 32 octets of a key.
    fileprivate mutating func writeKey(_ key: NodePublicKey) {
        key.octets.withSpan { octets in
            _ = octets.withUnsafeBytes { writeBytes($0) }
        }
    }
}

extension DERPFrame {
    /// Appends the frame to `output`.
    package func write(to output: inout ByteBuffer) {
        switch self {
        case .serverKey(let key):
            Self.write(.serverKey, to: &output) {
                $0.writeBytes(DERPConstants.magic)
                $0.writeKey(key)
            }
        case .clientInfo(let key, let sealed):
            Self.write(.clientInfo, to: &output) {
                $0.writeKey(key)
                $0.writeImmutableBuffer(sealed)
            }
        case .serverInfo(let sealed): Self.write(.serverInfo, to: &output) { $0.writeImmutableBuffer(sealed) }
        case .sendPacket(let key, let packet):
            Self.write(.sendPacket, to: &output) {
                $0.writeKey(key)
                $0.writeImmutableBuffer(packet)
            }
        case .receivedPacket(let key, let packet):
            Self.write(.receivedPacket, to: &output) {
                $0.writeKey(key)
                $0.writeImmutableBuffer(packet)
            }
        case .keepAlive: Self.write(.keepAlive, to: &output) { _ in }
        case .notePreferred(let value):
            Self.write(.notePreferred, to: &output) { $0.writeInteger(UInt8(value ? 1 : 0)) }
        case .peerGone(let key, let reason):
            Self.write(.peerGone, to: &output) {
                $0.writeKey(key)
                $0.writeInteger(reason.rawValue)
            }
        case .peerPresent(let key, let address, let flags):
            Self.write(.peerPresent, to: &output) { payload in
                payload.writeKey(key)
                guard let address else { return }
                let mapped = address.address.mapped
                payload.writeInteger(mapped.high)
                payload.writeInteger(mapped.low)
                payload.writeInteger(address.port)
                payload.writeInteger(flags)
            }
        case .forwardPacket(let source, let destination, let packet):
            Self.write(.forwardPacket, to: &output) { payload in
                payload.writeKey(source)
                payload.writeKey(destination)
                payload.writeImmutableBuffer(packet)
            }
        case .watchConnections: Self.write(.watchConnections, to: &output) { _ in }
        case .closePeer(let key): Self.write(.closePeer, to: &output) { $0.writeKey(key) }
        case .ping(let value): Self.write(.ping, to: &output) { $0.writeInteger(value) }
        case .pong(let value): Self.write(.pong, to: &output) { $0.writeInteger(value) }
        case .health(let text): Self.write(.health, to: &output) { $0.writeString(text) }
        case .restarting(let wait, let limit):
            Self.write(.restarting, to: &output) {
                $0.writeInteger(wait)
                $0.writeInteger(limit)
            }
        case .unknown(let type, let payload): Self.write(type, to: &output) { $0.writeImmutableBuffer(payload) }
        case .malformed(let type): Self.write(type, to: &output) { _ in }
        }
    }

    /// The frame alone.
    package var encoded: ByteBuffer {
        var output = ByteBuffer()
        write(to: &output)
        return output
    }

    private static func write(_ type: DERPFrameType, to output: inout ByteBuffer, _ payload: (inout ByteBuffer) -> Void)
    {
        output.writeInteger(type.rawValue)
        let lengthIndex = output.writerIndex
        output.writeInteger(UInt32(0))
        payload(&output)
        output.setInteger(UInt32(output.writerIndex - lengthIndex - 4), at: lengthIndex)
    }

    /// Appends a packet frame.
    package static func append(
        _ packet: Span<UInt8>,
        as type: DERPFrameType,
        key: NodePublicKey,
        to output: inout ByteBuffer
    ) {
        output.writeInteger(type.rawValue)
        output.writeInteger(UInt32(packet.count + NodePublicKey.byteCount))
        output.writeKey(key)
        output.writeBytes(packet.bytes)
    }

    /// Puts the header of a packet frame in front of `packet`, in its headroom when there is enough of it.
    package static func wrap(_ packet: ByteBuffer, as type: DERPFrameType, key: NodePublicKey) -> ByteBuffer {
        let headerByteCount = DERPConstants.frameHeaderByteCount + NodePublicKey.byteCount
        var frame: ByteBuffer
        if packet.readerIndex >= headerByteCount {
            frame = packet
            frame.moveReaderIndex(to: packet.readerIndex - headerByteCount)
        } else {
            frame = ByteBuffer()
            frame.reserveCapacity(headerByteCount + packet.readableBytes)
            frame.writeRepeatingByte(0, count: headerByteCount)
            frame.writeImmutableBuffer(packet)
        }
        var span = frame.mutableReadableBytesSpan
        span.storeBytes(of: type.rawValue, toByteOffset: 0, as: UInt8.self)
        span.store(bigEndian: UInt32(packet.readableBytes + NodePublicKey.byteCount), at: 1)
        key.store(into: &span, at: DERPConstants.frameHeaderByteCount)
        return frame
    }
}
