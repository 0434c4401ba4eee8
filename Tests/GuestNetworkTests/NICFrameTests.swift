import GuestNetwork
import NIOCore
import NetTypes
import NetWire
import Testing

@Suite("Frames on QEMU's stream socket")
struct NICFrameTests {
    private func stream(_ frames: [[UInt8]]) -> [UInt8] {
        var octets: [UInt8] = []
        for frame in frames {
            octets.append(bigEndian: UInt32(frame.count))
            octets += frame
        }
        return octets
    }

    private func checkSend(
        _ link: GuestLink,
        _ packet: [UInt8],
        _ batch: inout NICFrameBatch,
        _ expected: GuestDropReason?
    ) {
        let reason = link.send(packet: packet.span, into: &batch)
        #expect(reason == expected)
    }

    private func drain(_ decoder: inout NICFrameDecoder) throws -> [[UInt8]] {
        var frames: [[UInt8]] = []
        while let frame = try decoder.next() { frames.append(Array(frame.readableBytesView)) }
        return frames
    }

    @Test(arguments: [1, 2, 3, 4, 5, 7, 13, 64, 1000, 100_000])
    func `frames come out whole however the stream is cut`(step: Int) throws {
        var generator = SeededGenerator(seed: 3)
        let frames = (0..<60).map { _ in [1] + generator.bytes(upTo: 1514) }
        let octets = stream(frames)
        var decoder = NICFrameDecoder()
        var found: [[UInt8]] = []
        for start in stride(from: 0, to: octets.count, by: step) {
            decoder.append(ByteBuffer(bytes: octets[start..<min(start + step, octets.count)]))
            found += try drain(&decoder)
        }
        #expect(found == frames)
    }

    @Test func `reads that are not drained in between are kept`() throws {
        let frames: [[UInt8]] = [[1, 2, 3], [4], [5, 6]]
        let octets = stream(frames)
        var decoder = NICFrameDecoder()
        for octet in octets { decoder.append(ByteBuffer(bytes: [octet])) }
        #expect(try drain(&decoder) == frames)
    }

    @Test func `a frame that is kept survives the next ones`() throws {
        let octets = stream([[1, 1, 1], [2, 2, 2]])
        var decoder = NICFrameDecoder()
        decoder.append(ByteBuffer(bytes: octets[..<5]))
        #expect(try decoder.next() == nil)
        decoder.append(ByteBuffer(bytes: octets[5..<9]))
        let first = try #require(try decoder.next())
        #expect(try decoder.next() == nil)
        decoder.append(ByteBuffer(bytes: octets[9...]))
        let second = try #require(try decoder.next())
        #expect(Array(first.readableBytesView) == [1, 1, 1] && Array(second.readableBytesView) == [2, 2, 2])
    }

    @Test func `garbage on the socket ends the stream for good`() throws {
        var decoder = NICFrameDecoder()
        decoder.append(ByteBuffer(string: "GET / HTTP/1.1\r\n\r\n"))
        #expect(throws: GuestNetworkError.frameTooLong(byteCount: 0x4745_5420)) { try decoder.next() }
        decoder.append(ByteBuffer(bytes: stream([[1, 2]])))
        #expect(throws: GuestNetworkError.frameTooLong(byteCount: 0x4745_5420)) { try decoder.next() }
        var empty = NICFrameDecoder()
        empty.append(ByteBuffer(bytes: [0, 0, 0, 0]))
        #expect(throws: GuestNetworkError.emptyFrame) { try empty.next() }
        var cut = NICFrameDecoder()
        cut.append(ByteBuffer(bytes: [0, 1, 16]))
        #expect(try cut.next() == nil)
        cut.append(ByteBuffer(bytes: [1]))
        #expect(throws: GuestNetworkError.frameTooLong(byteCount: 69633)) { try cut.next() }
    }

    @Test func `a batch is what the decoder reads, and its memory is used again`() throws {
        let link = GuestSide.link()
        var batch = NICFrameBatch(maximumByteCount: 4096)
        #expect(batch.isEmpty)
        for round in 0..<3 {
            let packet = GuestSide.echoRequest(to: GuestSide.address, [UInt8(round)])
            checkSend(link, packet, &batch, nil)
            batch.append(frame: [9, 9].span)
            let isEmpty = batch.isEmpty
            #expect(!isEmpty)
            var decoder = NICFrameDecoder()
            decoder.append(batch.take())
            let frames = try drain(&decoder)
            #expect(frames.count == 2 && frames[1] == [9, 9])
            #expect(frames[0] == GuestSide.frame(packet, to: GuestSide.guest, from: GuestSide.own))
            #expect(batch.isEmpty)
        }
        // The router's advertisement to the new guest counts too.
        #expect(link.counters.framesOut == 4)
    }

    @Test func `a batch that is full refuses, and the link counts it`() {
        let link = GuestSide.link()
        var batch = NICFrameBatch(maximumByteCount: 3000)
        let packet = GuestSide.echoRequest(to: GuestSide.address, [UInt8](repeating: 0, count: 1200))
        checkSend(link, packet, &batch, nil)
        checkSend(link, packet, &batch, nil)
        checkSend(link, packet, &batch, .guestBusy)
        #expect(link.counters[.guestBusy] == 1 && link.counters.framesOut == 3)
        link.configure(nil)
        checkSend(link, packet, &batch, .linkDown)
    }
}
