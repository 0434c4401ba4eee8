package import NIOCore
import NetTypes
package import WarrenCrypto

/// The ts2021 handshake: `Noise_IK_25519_ChaChaPoly_BLAKE2s`, the client as initiator.
///
/// | message | offset | octets | field |
/// |---|---|---|---|
/// | initiation | 0 | 2 | protocol version, big-endian: the capability version |
/// | | 2 | 1 | type 1 |
/// | | 3 | 2 | length, big-endian: 96 |
/// | | 5 | 32 | client ephemeral key |
/// | | 37 | 48 | sealed machine key |
/// | | 85 | 16 | tag of the empty payload |
/// | response | 0 | 1 | type 2 |
/// | | 1 | 2 | length, big-endian: 48 |
/// | | 3 | 32 | server ephemeral key |
/// | | 35 | 16 | tag of the empty payload |
package enum ControlNoiseHandshake {
    /// The types of frames (tailscale `controlbase/messages.go`).
    enum FrameType {
        static let initiation: UInt8 = 1
        static let response: UInt8 = 2
        static let error: UInt8 = 3
        static let record: UInt8 = 4
    }

    private static let protocolName = "Noise_IK_25519_ChaChaPoly_BLAKE2s"

    private static func prologue(version: UInt16) -> [UInt8] {
        Array("Tailscale Control Protocol v\(version)".utf8)
    }

    private static func start(version: UInt16, serverKey: MachinePublicKey) -> SymmetricState {
        var state = SymmetricState(protocolName: protocolName)
        state.mixHash(prologue(version: version).span)
        state.mixHash(serverKey)
        return state
    }

    /// An (unauthenticated) error frame with a constant text.
    package static func errorFrame(_ text: String) -> ByteBuffer {
        var frame = ByteBuffer()
        frame.writeInteger(FrameType.error)
        frame.writeInteger(UInt16(clamping: text.utf8.count))
        frame.writeString(text)
        return frame
    }

    /// What both sides have after the handshake.
    package struct Outcome {
        /// The sealed stream.
        package var records: ControlRecordLayer
        /// The hash that binds other data to this connection.
        package let handshakeHash: Octets32
    }

    /// The client's half: made with the initiation, finished by the response.
    package struct Initiator: ~Copyable {
        /// The message to send, 101 octets.
        package let initiation: [UInt8]
        private var state: SymmetricState
        private let machineKey: MachinePrivateKey
        private let ephemeral: MachinePrivateKey

        /// Begins a handshake with the server that holds `serverKey`.
        /// - Throws: `.handshakeFailed(.notAuthentic)` when the server's key is of low order.
        package init(
            machineKey: MachinePrivateKey,
            serverKey: MachinePublicKey,
            version: UInt16,
            ephemeral: MachinePrivateKey = MachinePrivateKey()
        ) throws(ControlError) {
            var state = ControlNoiseHandshake.start(version: version, serverKey: serverKey)
            var message: [UInt8] = [UInt8(version >> 8), UInt8(version & 255), FrameType.initiation, 0, 96]
            state.mixHash(ephemeral.publicKey)
            message += ephemeral.publicKey.bytes
            do throws(CryptoError) {
                try state.mixKey(ephemeral, serverKey)
                message += state.encryptAndHash(machineKey.publicKey.bytes.span)
                try state.mixKey(machineKey, serverKey)
                message += state.encryptAndHash(Span())
            } catch { throw .handshakeFailed(.notAuthentic) }
            initiation = message
            self.state = state
            self.machineKey = machineKey
            self.ephemeral = ephemeral
        }

        /// Reads the server's response, 51 octets, and yields the keys.
        package consuming func finish(_ response: [UInt8]) throws(ControlError) -> Outcome {
            guard response.count == ControlConstants.responseByteCount else { throw .handshakeFailed(.wrongSize) }
            guard response[0] == FrameType.response else { throw .handshakeFailed(.wrongType) }
            guard response[1] == 0, response[2] == 48 else { throw .handshakeFailed(.wrongLength) }
            var state = state.duplicate()
            let theirs = MachinePublicKey(response.span, at: 3)
            state.mixHash(theirs)
            do throws(CryptoError) {
                try state.mixKey(ephemeral, theirs)
                try state.mixKey(machineKey, theirs)
                _ = try state.decryptAndHash(response.span.extracting(35..<51))
            } catch { throw .handshakeFailed(.notAuthentic) }
            let keys = state.split()
            return Outcome(
                records: ControlRecordLayer(sealing: keys.initiator, opening: keys.responder),
                handshakeHash: state.handshakeHash
            )
        }
    }

    /// What the server knows after it read an initiation.
    package struct Acceptance {
        /// The message to answer with, 51 octets.
        package let response: [UInt8]
        /// The authenticated identity of the client.
        package let machineKey: MachinePublicKey
        /// The protocol version that the client claims.
        package let version: UInt16
        /// The sealed stream and the channel binding.
        package var outcome: Outcome
    }

    /// The server's half, in one step; it changes no state, so a replayed initiation yields nothing but a response.
    /// - Throws: `.handshakeFailed`; `errorFrame(for:)` says what the client is told.
    package static func accept(
        _ initiation: [UInt8],
        serverKey: MachinePrivateKey,
        ephemeral: MachinePrivateKey = MachinePrivateKey()
    ) throws(ControlError) -> Acceptance {
        guard initiation.count == ControlConstants.initiationByteCount else { throw .handshakeFailed(.wrongSize) }
        guard initiation[2] == FrameType.initiation else { throw .handshakeFailed(.wrongType) }
        guard initiation[3] == 0, initiation[4] == 96 else { throw .handshakeFailed(.wrongLength) }
        let version = UInt16(initiation[0]) << 8 | UInt16(initiation[1])
        var state = start(version: version, serverKey: serverKey.publicKey)
        let theirs = MachinePublicKey(initiation.span, at: 5)
        state.mixHash(theirs)
        let machineKey: MachinePublicKey
        var response: [UInt8] = [FrameType.response, 0, 48]
        do throws(CryptoError) {
            try state.mixKey(serverKey, theirs)
            let opened = try state.decryptAndHash(initiation.span.extracting(37..<85))
            machineKey = MachinePublicKey(opened.span)
            try state.mixKey(serverKey, machineKey)
            _ = try state.decryptAndHash(initiation.span.extracting(85..<101))
            state.mixHash(ephemeral.publicKey)
            response += ephemeral.publicKey.bytes
            try state.mixKey(ephemeral, theirs)
            try state.mixKey(ephemeral, machineKey)
            response += state.encryptAndHash(Span())
        } catch { throw .handshakeFailed(.notAuthentic) }
        let keys = state.split()
        return Acceptance(
            response: response,
            machineKey: machineKey,
            version: version,
            outcome: Outcome(
                records: ControlRecordLayer(sealing: keys.responder, opening: keys.initiator),
                handshakeHash: state.handshakeHash
            )
        )
    }

    /// The frame that a server writes before it closes; nil where it closes without a word, usually for an outdated server key.
    package static func errorFrame(for fault: ControlHandshakeFault) -> ByteBuffer? {
        switch fault {
        case .wrongSize: errorFrame("wrong handshake initiation size")
        case .wrongType: errorFrame("unexpected handshake message type")
        case .wrongLength: errorFrame("wrong handshake initiation length")
        case .notAuthentic, .refusedByPeer: nil
        }
    }
}
