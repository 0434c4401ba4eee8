import ControlPlane
import Foundation
import NIOCore
import TestSupport
import Testing
import WarrenCrypto

@Suite("ControlNoiseHandshake vectors") struct ControlNoiseVectorTests {
    @Test(arguments: try VectorFile("controlbase_noise", in: Bundle.module).cases)
    func `agrees with the reference in both roles`(vector: VectorCase) throws {
        let serverKey = try machineKey(vector.value.control_private)
        let initiation = try #require(vector.value.initiation?.hex)
        if vector.value.negative?.bool == true {
            let reply = try #require(vector.value.server_wire_reply?.hex)
            let error = #expect(throws: ControlError.self) {
                _ = try ControlNoiseHandshake.accept(initiation, serverKey: serverKey)
            }
            guard case .handshakeFailed(let fault)? = error else {
                Issue.record("another error: \(String(describing: error))")
                return
            }
            let frame = ControlNoiseHandshake.errorFrame(for: fault)
            #expect(frame.map { Array($0.readableBytesView) } ?? [] == reply)
            return
        }
        let clientKey = try machineKey(vector.value.machine_private)
        let version = UInt16(try #require(vector.value.version?.int))
        let initiator = try ControlNoiseHandshake.Initiator(
            machineKey: clientKey,
            serverKey: serverKey.publicKey,
            version: version,
            ephemeral: try machineKey(vector.value.client_ephemeral_private)
        )
        #expect(initiator.initiation == initiation)
        #expect(Data(initiation).base64EncodedString() == vector.value.initiation_header_value?.string)

        let accepted = try ControlNoiseHandshake.accept(
            initiation,
            serverKey: serverKey,
            ephemeral: try machineKey(vector.value.server_ephemeral_private)
        )
        #expect(accepted.response == vector.value.response?.hex)
        #expect(accepted.machineKey == clientKey.publicKey)
        #expect(accepted.version == version)
        let finished = try initiator.finish(accepted.response)
        let hash = try #require(vector.value.handshake_hash?.string)
        #expect(finished.handshakeHash.hex == hash)
        #expect(accepted.outcome.handshakeHash.hex == hash)

        var client = finished.records
        var server = accepted.outcome.records
        for record in try #require(vector.value.records?.array) {
            let plaintext = try #require(record.plaintext?.hex)
            let frames = try #require(record.frames?.array).compactMap { $0.hex }
            if record.direction?.string == "c2s" {
                try exchange(plaintext, frames: frames, from: &client, to: &server)
            } else {
                try exchange(plaintext, frames: frames, from: &server, to: &client)
            }
        }
    }

    private func exchange(
        _ plaintext: [UInt8],
        frames: [[UInt8]],
        from sender: inout ControlRecordLayer,
        to receiver: inout ControlRecordLayer
    ) throws {
        var output = ByteBuffer()
        try sender.seal(ByteBuffer(bytes: plaintext), into: &output)
        // A writer never makes an empty record, a reader skips it; the reference writes one for an empty write.
        if !plaintext.isEmpty { #expect(Array(output.readableBytesView) == frames.flatMap { $0 }) }
        receiver.append(ByteBuffer(bytes: plaintext.isEmpty ? [] : frames.flatMap { $0 }))
        var received: [UInt8] = []
        while let part = try receiver.next() { received += part.readableBytesView }
        #expect(received == plaintext)
    }
}

/// The machine key that a vector spells in hex.
func machineKey(_ value: JSONValue?) throws -> MachinePrivateKey {
    let octets = try #require(value?.hex)
    return try #require(MachinePrivateKey(bytes: octets))
}
