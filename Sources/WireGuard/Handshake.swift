import NetTypes
import WarrenCrypto

/// What a finished handshake yields.
struct SessionKeys {
    /// Seals what we send, 32 octets.
    let sending: SecretBytes
    /// Opens what we receive, 32 octets.
    let receiving: SecretBytes
    /// The index under which the peer addresses us.
    let localIndex: UInt32
    /// The index under which we address the peer.
    let remoteIndex: UInt32
    /// Whether we began the handshake.
    let isInitiator: Bool
}

extension SymmetricState {
    /// The state at the start of a handshake with the owner of `responder`.
    static func wireGuard(responder: NodePublicKey) -> SymmetricState {
        var state = SymmetricState(protocolName: WireGuardConstants.protocolName)
        let identifier = Array(WireGuardConstants.identifier.utf8)
        state.mixHash(identifier.span)
        state.mixHash(responder)
        return state
    }

    /// Mixes an ephemeral public key into chaining key and hash.
    mutating func mixEphemeral(_ key: NodePublicKey) {
        key.octets.withSpan { mixChainingKey($0) }
        mixHash(key)
    }

    /// Mixes a shared secret and makes the next message key.
    mutating func mixSecret(_ secret: SecretBytes) {
        secret.withSpan { mixKey($0) }
    }

    /// Mixes the pre-shared key; Tailscale's is 32 zero octets.
    mutating func mixPresharedKey(_ key: SecretBytes?) {
        if let key {
            key.withSpan { mixKeyAndHash($0) }
        } else {
            Octets32.zero.withSpan { mixKeyAndHash($0) }
        }
    }
}

/// A handshake that we began, waiting for its response.
///
/// The initiation, whose codes the caller adds:
///
/// | offset | octets | field |
/// | --- | --- | --- |
/// | 0 | 4 | type 1, little-endian |
/// | 4 | 4 | sender index, little-endian |
/// | 8 | 32 | ephemeral public key |
/// | 40 | 48 | sealed static public key |
/// | 88 | 28 | sealed timestamp |
/// | 116 | 16 | mac1 |
/// | 132 | 16 | mac2 |
struct InitiatorHandshake: ~Copyable {
    private let state: SymmetricState
    private let ephemeral: NodePrivateKey
    /// The index that the response must name.
    let localIndex: UInt32
    /// The initiation with both codes zero.
    let message: [UInt8]

    /// Makes an initiation to `peer`; `staticSecret` is the shared secret of both static keys.
    init(
        from privateKey: NodePrivateKey,
        to peer: NodePublicKey,
        staticSecret: SecretBytes,
        ephemeral: NodePrivateKey,
        localIndex: UInt32,
        timestamp: TAI64N
    ) throws(CryptoError) {
        var state = SymmetricState.wireGuard(responder: peer)
        state.mixEphemeral(ephemeral.publicKey)
        try state.mixKey(ephemeral, peer)
        let sealedStatic = privateKey.publicKey.octets.withSpan { state.encryptAndHash($0) }
        state.mixSecret(staticSecret)
        let stamp = timestamp.bytes
        let sealedTimestamp = state.encryptAndHash(stamp.span)

        var message = [UInt8](repeating: 0, count: 8)
        message.store(littleEndian: MessageType.initiation, at: 0)
        message.store(littleEndian: localIndex, at: 4)
        message += ephemeral.publicKey.bytes
        message += sealedStatic
        message += sealedTimestamp
        message += [UInt8](repeating: 0, count: MessageLength.macs)
        self.message = message
        self.state = state
        self.ephemeral = ephemeral
        self.localIndex = localIndex
    }

    /// Reads the response (92 octets, for our index) and makes the session's keys; a forged one spoils nothing.
    borrowing func finish(
        _ response: Span<UInt8>,
        privateKey: NodePrivateKey,
        presharedKey: SecretBytes?
    ) throws(CryptoError) -> SessionKeys {
        var state = state.duplicate()
        let remoteEphemeral = NodePublicKey(response, at: 12)
        state.mixEphemeral(remoteEphemeral)
        try state.mixChainingKey(ephemeral, remoteEphemeral)
        try state.mixChainingKey(privateKey, remoteEphemeral)
        state.mixPresharedKey(presharedKey)
        _ = try state.decryptAndHash(response.extracting(44..<60))
        let keys = state.split()
        return SessionKeys(
            sending: keys.initiator,
            receiving: keys.responder,
            localIndex: localIndex,
            remoteIndex: response.littleEndian(at: 4),
            isInitiator: true
        )
    }
}

/// A handshake that a peer began, from the opened static key to the response.
///
/// The response, whose codes the caller adds:
///
/// | offset | octets | field |
/// | --- | --- | --- |
/// | 0 | 4 | type 2, little-endian |
/// | 4 | 4 | sender index, little-endian |
/// | 8 | 4 | receiver index, little-endian |
/// | 12 | 32 | ephemeral public key |
/// | 44 | 16 | sealed nothing |
/// | 60 | 16 | mac1 |
/// | 76 | 16 | mac2 |
struct ResponderHandshake: ~Copyable {
    private var state: SymmetricState
    private let remoteEphemeral: NodePublicKey
    private let remoteIndex: UInt32
    /// The static key of the peer that began, as yet unproven.
    let remoteStatic: NodePublicKey

    /// Opens the static key of an initiation (148 octets).
    init(_ initiation: Span<UInt8>, privateKey: NodePrivateKey) throws(CryptoError) {
        var state = SymmetricState.wireGuard(responder: privateKey.publicKey)
        let remoteEphemeral = NodePublicKey(initiation, at: 8)
        state.mixEphemeral(remoteEphemeral)
        try state.mixKey(privateKey, remoteEphemeral)
        let remoteStatic = try state.decryptAndHash(initiation.extracting(40..<88))
        self.remoteStatic = NodePublicKey(remoteStatic.span)
        self.remoteEphemeral = remoteEphemeral
        remoteIndex = initiation.littleEndian(at: 4)
        self.state = state
    }

    /// Opens the timestamp, which proves that the peer holds its static key.
    mutating func openTimestamp(_ initiation: Span<UInt8>, staticSecret: SecretBytes) throws(CryptoError) -> TAI64N {
        state.mixSecret(staticSecret)
        let stamp = try state.decryptAndHash(initiation.extracting(88..<116))
        return TAI64N(stamp.span, at: 0)
    }

    /// Makes the response with both codes zero, and the session's keys.
    consuming func respond(
        ephemeral: NodePrivateKey,
        localIndex: UInt32,
        presharedKey: SecretBytes?
    ) throws(CryptoError) -> (message: [UInt8], keys: SessionKeys) {
        state.mixEphemeral(ephemeral.publicKey)
        try state.mixChainingKey(ephemeral, remoteEphemeral)
        try state.mixChainingKey(ephemeral, remoteStatic)
        state.mixPresharedKey(presharedKey)
        let sealedNothing = state.encryptAndHash(Span())

        var message = [UInt8](repeating: 0, count: 12)
        message.store(littleEndian: MessageType.response, at: 0)
        message.store(littleEndian: localIndex, at: 4)
        message.store(littleEndian: remoteIndex, at: 8)
        message += ephemeral.publicKey.bytes
        message += sealedNothing
        message += [UInt8](repeating: 0, count: MessageLength.macs)
        let keys = state.split()
        let sessionKeys = SessionKeys(
            sending: keys.responder,
            receiving: keys.initiator,
            localIndex: localIndex,
            remoteIndex: remoteIndex,
            isInitiator: false
        )
        return (message, sessionKeys)
    }
}

extension [UInt8] {
    /// Stores a little-endian integer at `offset`; traps beyond the end.
    mutating func store<T: FixedWidthInteger & BitwiseCopyable>(littleEndian value: T, at offset: Int) {
        var elements = mutableSpan
        var octets = unsafe elements.mutableBytes
        octets.store(littleEndian: value, at: offset)
    }
}
