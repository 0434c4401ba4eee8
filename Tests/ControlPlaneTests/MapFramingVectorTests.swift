import ControlPlane
import Foundation
import NIOCore
import TestSupport
import Testing

@Suite("Map framing vectors") struct MapFramingVectorTests {
    @Test(arguments: try VectorFile("map_framing", in: Bundle.module).cases)
    func `cuts and unfolds what the reference sends`(vector: VectorCase) throws {
        let stream = try #require(vector.value.stream?.hex)
        let compress = try #require(vector.value.compress?.string)
        let compression = try #require(MapCompression(rawValue: compress))
        let expected = try #require(vector.value.messages?.array).compactMap { $0.string }
        for step in [1, 5, stream.count] {
            var decoder = MapFrameDecoder()
            var messages: [String] = []
            var failure: ControlError?
            do throws(ControlError) {
                for start in Swift.stride(from: 0, to: stream.count, by: step) {
                    decoder.append(ByteBuffer(bytes: stream[start..<min(start + step, stream.count)]))
                    while let message = try decoder.next() {
                        messages.append(String(buffer: try MapFrameDecoder.unfold(message, compression: compression)))
                    }
                }
                try decoder.finish()
            } catch { failure = error }
            #expect(messages == expected)
            #expect((failure != nil) == (vector.value.error?.bool ?? false))
        }
        guard vector.value.error?.bool != true else { return }
        let encoder = MapFrameEncoder(compression: compression)
        var encoded: [UInt8] = []
        for message in expected { encoded += try encoder.encode(ByteBuffer(string: message)).readableBytesView }
        if compression == .none { #expect(encoded == stream) }
        var decoder = MapFrameDecoder()
        decoder.append(ByteBuffer(bytes: encoded))
        var again: [String] = []
        while let message = try decoder.next() {
            again.append(String(buffer: try MapFrameDecoder.unfold(message, compression: compression)))
        }
        #expect(again == expected)
    }
}

@Suite("Map framing against hostile servers") struct MapFramingTests {
    @Test func `refuses a frame above the cap before it arrives`() {
        var decoder = MapFrameDecoder(maximumByteCount: 1000)
        decoder.append(ByteBuffer(bytes: [0xE9, 3, 0, 0]))
        #expect(throws: ControlError.oversized) { try decoder.next() }
    }

    @Test func `refuses a zstd bomb`() throws {
        let bomb = try Zstandard.compress(ByteBuffer(repeating: 0, count: 8 << 20))
        #expect(bomb.readableBytes < 4096)
        #expect(throws: ControlError.oversized) { try Zstandard.decompress(bomb, limit: 1 << 20) }
        #expect(try Zstandard.decompress(bomb, limit: 8 << 20).readableBytes == 8 << 20)
    }

    @Test func `refuses what is not zstd, is cut or was changed`() throws {
        let packed = try Zstandard.compress(ByteBuffer(string: #"{"KeepAlive":true}"#))
        for count in 0..<packed.readableBytes {
            let cut = try #require(packed.getSlice(at: 0, length: count))
            #expect(throws: ControlError.malformedResponse) { try Zstandard.decompress(cut, limit: 1000) }
        }
        var changed = packed
        changed.setInteger(UInt8(0xAA), at: 12)
        #expect(throws: ControlError.self) { try Zstandard.decompress(changed, limit: 1000) }
        #expect(throws: ControlError.malformedResponse) {
            try Zstandard.decompress(ByteBuffer(string: "{}"), limit: 1000)
        }
    }

    @Test func `never traps on random octets`() {
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<500 {
            let octets = (0..<Int.random(in: 0..<64, using: &generator)).map { _ in
                UInt8.random(in: 0...255, using: &generator)
            }
            _ = try? Zstandard.decompress(ByteBuffer(bytes: [0x28, 0xB5, 0x2F, 0xFD] + octets), limit: 1 << 16)
            var decoder = MapFrameDecoder(maximumByteCount: 100)
            decoder.append(ByteBuffer(bytes: octets))
            _ = try? decoder.next()
        }
    }
}
