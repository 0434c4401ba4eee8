import ControlPlane
import NIOCore
import Testing
import WarrenCrypto

@Suite("ControlRecordLayer (ts2021)") struct ControlRecordLayerTests {
    private let first = SecretBytes(copying: [UInt8](repeating: 1, count: 32).span)
    private let second = SecretBytes(copying: [UInt8](repeating: 2, count: 32).span)

    private func pair(counter: UInt64 = 0) -> (ControlRecordLayer, ControlRecordLayer) {
        (
            ControlRecordLayer(sealing: first, opening: second, sealCounter: counter),
            ControlRecordLayer(sealing: second, opening: first, openCounter: counter)
        )
    }

    @Test(arguments: [1, 4076, 4077, 4078, 8154, 20_000])
    func `splits what is larger than a record and joins it again`(count: Int) throws {
        var (sender, receiver) = pair()
        let plaintext = (0..<count).map { UInt8(truncatingIfNeeded: $0) }
        var wire = ByteBuffer()
        try sender.seal(ByteBuffer(bytes: plaintext), into: &wire)
        #expect(wire.readableBytes == count + (count + 4076) / 4077 * 19)
        var received: [UInt8] = []
        while var piece = wire.readSlice(length: min(7, wire.readableBytes)), piece.readableBytes > 0 {
            receiver.append(ByteBuffer(bytes: piece.readBytes(length: piece.readableBytes) ?? []))
            while let part = try receiver.next() { received += part.readableBytesView }
        }
        #expect(received == plaintext)
    }

    @Test func `takes any flipped bit for the end of the connection`() throws {
        for index in 0..<40 {
            var (sender, receiver) = pair()
            var wire = ByteBuffer()
            try sender.seal(ByteBuffer(string: "hello from the client"), into: &wire)
            var octets = Array(wire.readableBytesView)
            octets[index] ^= 0x40
            receiver.append(ByteBuffer(bytes: octets))
            // A changed length may only make the reader wait for octets that never come.
            if index == 1 || index == 2 {
                let opened = try? receiver.next()
                #expect(opened == nil)
            } else {
                #expect(throws: ControlError.invalidRecord) { try receiver.next() }
                #expect(throws: ControlError.invalidRecord) { try receiver.next() }
            }
        }
    }

    @Test(arguments: [[4, 0x0F, 0xFE], [4, 0, 15], [3, 0, 32], [0, 0, 0]] as [[UInt8]])
    func `refuses a header before it waits for the rest`(header: [UInt8]) {
        var (_, receiver) = pair()
        receiver.append(ByteBuffer(bytes: header))
        #expect(throws: ControlError.invalidRecord) { try receiver.next() }
    }

    @Test func `stops before the counter would repeat`() throws {
        var (sender, receiver) = pair(counter: .max - 1)
        var wire = ByteBuffer()
        try sender.seal(ByteBuffer(string: "last"), into: &wire)
        receiver.append(wire)
        #expect(try receiver.next() == ByteBuffer(string: "last"))
        #expect(throws: ControlError.invalidRecord) { try sender.seal(ByteBuffer(string: "x"), into: &wire) }
        receiver.append(wire)
        #expect(throws: ControlError.invalidRecord) { try receiver.next() }
    }
}
