import ControlPlane
import FoundationEssentials
import NIOCore
import Tailcfg

/// Turns map messages into the frames of one stream.
struct MapPacker: Sendable {
    private let encoder: MapFrameEncoder

    init(compression: MapCompression) { encoder = MapFrameEncoder(compression: compression) }

    /// A message as a frame.
    func pack(_ message: MapResponse) throws -> ByteBuffer {
        let json = JSONEncoder()
        json.outputFormatting = .withoutEscapingSlashes
        return try encoder.encode(ByteBuffer(bytes: json.encode(message)))
    }

    /// The keep-alive as a frame; equal octets each time.
    func keepAlive() throws -> ByteBuffer {
        try encoder.encode(ByteBuffer(string: CoordinationConstants.keepAlive))
    }
}
