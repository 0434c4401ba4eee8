import ControlPlane
import FoundationEssentials
import NIOCore
import Synchronization
import Tailcfg

/// Turns map messages into frames, for all streams of a server.
///
/// What many streams say is packed once: peers keep the JSON of their last form, and messages that were just packed are
/// found again. Otherwise a tailnet that comes back after a restart would encode every node once for every other.
final class MapPacker: Sendable {
    /// A message that was packed lately.
    private struct Recent {
        let message: MapResponse
        let compression: MapCompression
        let frame: ByteBuffer
    }

    /// A peer as it was last said.
    private struct Said {
        let node: Node
        let json: ByteBuffer
    }

    /// More distinct messages than one event makes; the oldest gives way.
    private static let recentCount = 8
    /// Beyond, a message is one client's own: a full map.
    private static let maximumSharedPeerCount = 256

    private let recent = Mutex<[Recent]>([])
    private let peers = Mutex<[NodeID: Said]>([:])
    private let keepAlives: [MapCompression: ByteBuffer]

    /// A packer with nothing said yet.
    init() throws {
        var frames: [MapCompression: ByteBuffer] = [:]
        for compression in [MapCompression.none, .zstd] {
            let message = ByteBuffer(string: CoordinationConstants.keepAlive)
            frames[compression] = try MapFrameEncoder(compression: compression).encode(message)
        }
        keepAlives = frames
    }

    /// A message as a frame.
    func pack(_ message: MapResponse, _ compression: MapCompression) throws -> ByteBuffer {
        let encoder = MapFrameEncoder(compression: compression)
        if !message.peersRemoved.isEmpty {
            peers.withLock { peers in
                for id in message.peersRemoved { peers[id] = nil }
            }
        }
        guard message.node == nil, message.pingRequest == nil,
            message.peersChanged.count <= Self.maximumSharedPeerCount
        else { return try encoder.encode(try json(of: message)) }
        let known = recent.withLock { recent in
            recent.last { $0.compression == compression && $0.message == message }?.frame
        }
        if let known { return known }
        let frame = try encoder.encode(try json(of: message))
        recent.withLock { recent in
            if recent.count >= Self.recentCount { recent.removeFirst() }
            recent.append(Recent(message: message, compression: compression, frame: frame))
        }
        return frame
    }

    /// The keep-alive as a frame; equal octets each time.
    func keepAlive(_ compression: MapCompression) -> ByteBuffer { keepAlives[compression] ?? ByteBuffer() }

    /// The JSON of a message, its peers taken from what was said before.
    private func json(of message: MapResponse) throws -> ByteBuffer {
        var rest = message
        rest.peers = []
        rest.peersChanged = []
        var json = try Self.encode(rest)
        for (member, nodes) in [("Peers", message.peers), ("PeersChanged", message.peersChanged)] where !nodes.isEmpty {
            // The last octet is the brace that ends the object.
            json.moveWriterIndex(to: json.writerIndex - 1)
            json.writeString(json.readableBytes > 1 ? ",\"\(member)\":" : "\"\(member)\":")
            var separator = UInt8(ascii: "[")
            for node in nodes {
                json.writeInteger(separator)
                json.writeImmutableBuffer(try self.json(of: node))
                separator = UInt8(ascii: ",")
            }
            json.writeStaticString("]}")
        }
        return json
    }

    private func json(of node: Node) throws -> ByteBuffer {
        if let said = peers.withLock({ $0[node.id] }), said.node == node { return said.json }
        let json = try Self.encode(node)
        peers.withLock { $0[node.id] = Said(node: node, json: json) }
        return json
    }

    private static func encode(_ value: some Encodable) throws -> ByteBuffer {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .withoutEscapingSlashes
        return ByteBuffer(bytes: try encoder.encode(value))
    }
}
