import NIOCore
import NIOEmbedded
import NIOHTTP1

/// How a message and its answer stand in a stream of octets.
protocol DNSFraming {
    /// What is sent.
    var request: [UInt8] { get }
    /// Takes octets that have come; the answer once it is whole.
    ///
    /// - Throws: When the stream carries something else.
    mutating func take(_ octets: [UInt8]) throws(DNSFramingError) -> [UInt8]?
    /// Learns that no more will come; the answer if that makes it whole.
    mutating func finish() -> [UInt8]?
}

/// The stream carries something else than an answer.
struct DNSFramingError: Error {}

/// A message behind a length of two octets (RFC 1035 §4.2.2).
struct LengthFraming: DNSFraming {
    let request: [UInt8]
    private var input: [UInt8] = []

    /// Frames a message.
    init(_ message: [UInt8]) {
        request = [UInt8(truncatingIfNeeded: message.count >> 8), UInt8(truncatingIfNeeded: message.count)] + message
    }

    mutating func take(_ octets: [UInt8]) throws(DNSFramingError) -> [UInt8]? {
        input += octets
        guard input.count >= 2 else { return nil }
        let count = Int(input[0]) << 8 | Int(input[1])
        return input.count >= 2 + count ? Array(input[2..<(2 + count)]) : nil
    }

    mutating func finish() -> [UInt8]? { nil }
}

/// A POST and its answer (RFC 8484), as the resolver of an exit node speaks it inside the tunnel, and others inside TLS.
struct HTTPFraming: DNSFraming {
    let request: [UInt8]
    private let channel: EmbeddedChannel
    private var body: [UInt8] = []
    private var isAccepted = false
    private var isWhole = false
    private var byteCount = 0

    private static let mediaType = "application/dns-message"
    // An answer and its header; more is no DNS.
    private static let maximumByteCount = DNSDefaults.maximumMessage + 16_384

    /// Frames a message to be posted to `path` of `host`.
    ///
    /// - Throws: What the HTTP codec throws.
    init(_ message: [UInt8], to host: String, path: String) throws {
        channel = EmbeddedChannel()
        try channel.pipeline.syncOperations.addHandlers([
            HTTPRequestEncoder(), ByteToMessageHandler(HTTPResponseDecoder(leftOverBytesStrategy: .dropBytes)),
        ])
        let headers: HTTPHeaders = [
            "Host": host, "Content-Type": Self.mediaType, "Accept": Self.mediaType,
            "Content-Length": "\(message.count)",
        ]
        let head = HTTPRequestHead(version: .http1_1, method: .POST, uri: path, headers: headers)
        try channel.writeOutbound(HTTPClientRequestPart.head(head))
        try channel.writeOutbound(HTTPClientRequestPart.body(.byteBuffer(ByteBuffer(bytes: message))))
        try channel.writeOutbound(HTTPClientRequestPart.end(nil))
        var request: [UInt8] = []
        while let part = try channel.readOutbound(as: ByteBuffer.self) { request += part.readableBytesView }
        self.request = request
    }

    mutating func take(_ octets: [UInt8]) throws(DNSFramingError) -> [UInt8]? {
        byteCount += octets.count
        guard byteCount <= Self.maximumByteCount else { throw DNSFramingError() }
        do {
            try channel.writeInbound(ByteBuffer(bytes: octets))
        } catch {
            throw DNSFramingError()
        }
        try readParts()
        return isWhole ? body : nil
    }

    mutating func finish() -> [UInt8]? {
        // A body without a length ends with the connection; what the codec makes of a broken one is no answer.
        _ = try? channel.finish(acceptAlreadyClosed: true)
        try? readParts()
        return isWhole ? body : nil
    }

    private mutating func readParts() throws(DNSFramingError) {
        while let part = readPart() {
            switch part {
            case .head(let head):
                let types = head.headers[canonicalForm: "Content-Type"]
                guard head.status == .ok, types == [Substring(Self.mediaType)] else { throw DNSFramingError() }
                isAccepted = true
            case .body(let buffer):
                body += buffer.readableBytesView
                guard isAccepted, body.count <= DNSDefaults.maximumMessage else { throw DNSFramingError() }
            case .end: isWhole = isAccepted
            }
        }
    }

    private func readPart() -> HTTPClientResponsePart? {
        // Fails only for another type, and the decoder makes no other.
        (try? channel.readInbound(as: HTTPClientResponsePart.self)).flatMap(\.self)
    }
}
