import DERP
import Foundation
import NIOCore
import NetTypes
import TestSupport
import Testing
import WarrenCrypto

@Suite("DERP frame vectors") struct DERPFrameVectorTests {
    @Test(arguments: try VectorFile("derp_frames", in: Bundle.module).cases)
    func `reads and writes the frames of the reference`(vector: VectorCase) throws {
        if vector.value.direction?.string == "c2s" {
            try clientToServer(vector.value)
        } else {
            try serverToClient(vector.value)
        }
    }

    private func clientToServer(_ value: JSONValue) throws {
        if let length = value.packet_length?.int {
            #expect((length > DERPConstants.maximumPacketByteCount) == (value.refused?.bool ?? false))
            guard let prefix = value.frame_prefix?.hex else { return }
            let key = try #require(NodePublicKey(bytes: Array(prefix[5..<37])))
            for headroom in [0, 37, 100] {
                var packet = ByteBuffer(repeating: 0, count: headroom + length)
                packet.moveReaderIndex(forwardBy: headroom)
                let frame = DERPFrame.wrap(packet, as: .sendPacket, key: key)
                #expect(Array(frame.readableBytesView.prefix(37)) == prefix)
                #expect(frame.readableBytes == 37 + length)
            }
            return
        }
        let wire = try #require(value.frame?.hex)
        let frame = try #require(try decode(wire).first)
        #expect(Array(frame.encoded.readableBytesView) == wire)
        if let packet = value.packet?.hex {
            let destination = try #require(value.destination?.hex)
            let key = try #require(NodePublicKey(bytes: destination))
            #expect(frame == .sendPacket(to: key, packet: ByteBuffer(bytes: packet)))
            let wrapped = DERPFrame.wrap(ByteBuffer(bytes: packet), as: .sendPacket, key: key)
            #expect(Array(wrapped.readableBytesView) == wire)
        }
    }

    private func serverToClient(_ value: JSONValue) throws {
        let wire = try #require(value.frames?.hex)
        if value.end?.bool == true {
            // Either the bytes are refused, or a frame is cut, or a login message does not open.
            var decoder = DERPFrameDecoder()
            decoder.append(ByteBuffer(bytes: wire))
            do {
                guard let frame = try decoder.next() else {
                    #expect(!decoder.isAtBoundary)
                    return
                }
                guard case .serverInfo(let sealed) = frame else {
                    Issue.record("accepted \(frame)")
                    return
                }
                var handshake = DERPClientHandshake(privateKey: NodePrivateKey())
                _ = try handshake.greet(.serverKey(NodePrivateKey().publicKey))
                #expect(throws: DERPError.badInfo) { try handshake.open(serverInfo: sealed) }
            } catch { #expect(error == .oversizedFrame) }
            return
        }
        let frames = try decode(wire)
        let message = try #require(value.message)
        let shown = frames.compactMap { describe($0) }
        #expect(shown.first == message)
    }

    /// A frame as the reference's client reports it; nil for what it skips.
    private func describe(_ frame: DERPFrame) -> JSONValue? {
        switch frame {
        case .receivedPacket(let peer, let packet):
            .object([
                "kind": .string("packet"), "source": .string(peer.bytes.hex),
                "data": .string(Array(packet.readableBytesView).hex),
            ])
        case .keepAlive: .object(["kind": .string("keepalive")])
        case .peerGone(let peer, let reason):
            .object([
                "kind": .string("peer_gone"), "peer": .string(peer.bytes.hex),
                "reason": .integer(Int64(reason.rawValue)),
            ])
        case .peerPresent(let peer, let address, let flags):
            .object([
                "kind": .string("peer_present"), "peer": .string(peer.bytes.hex),
                "ipport": .string(address?.description ?? "invalid AddrPort"), "flags": .integer(Int64(flags)),
            ])
        case .ping(let number):
            .object(["kind": .string("ping"), "data": .string(octets(number))])
        case .pong(let number):
            .object(["kind": .string("pong"), "data": .string(octets(number))])
        case .health(let text): .object(["kind": .string("health"), "problem": .string(text)])
        case .restarting(let wait, let limit):
            .object([
                "kind": .string("restarting"), "reconnect_in_ms": .integer(Int64(wait)),
                "try_for_ms": .integer(Int64(limit)),
            ])
        default: nil
        }
    }

    private func octets(_ number: UInt64) -> String {
        (0..<8).map { UInt8(truncatingIfNeeded: number >> UInt64(56 - 8 * $0)) }.hex
    }

    private func decode(_ wire: [UInt8]) throws -> [DERPFrame] {
        var whole = DERPFrameDecoder()
        whole.append(ByteBuffer(bytes: wire))
        var frames: [DERPFrame] = []
        while let frame = try whole.next() { frames.append(frame) }
        var dribbling = DERPFrameDecoder()
        var again: [DERPFrame] = []
        for octet in wire {
            dribbling.append(ByteBuffer(bytes: [octet]))
            while let frame = try dribbling.next() { again.append(frame) }
        }
        #expect(frames == again)
        return frames
    }
}

@Suite("DERP handshake vectors") struct DERPHandshakeVectorTests {
    @Test(arguments: try VectorFile("derp_handshake", in: Bundle.module).cases)
    func `logs in like the reference`(vector: VectorCase) throws {
        let greeting = try #require(vector.value.server_key_frame?.hex)
        if let accept = vector.value.accept?.bool {
            var decoder = DERPFrameDecoder(maximumByteCount: DERPConstants.maximumGreetingByteCount)
            var handshake = DERPClientHandshake(privateKey: NodePrivateKey())
            decoder.append(ByteBuffer(bytes: greeting))
            do {
                let frame = try #require(try decoder.next())
                _ = try handshake.greet(frame)
                #expect(accept)
            } catch { #expect(!accept) }
            return
        }
        let client = try key(vector.value.client_private)
        let server = try key(vector.value.server_private)
        var handshake = DERPClientHandshake(privateKey: client)
        let serverKey = try frame(greeting)
        _ = try handshake.greet(serverKey)
        #expect(handshake.serverKey == server.publicKey)
        let accepting = DERPServerHandshake(privateKey: server)
        #expect(Array(accepting.greeting.encoded.readableBytesView) == greeting)

        // The boxes with the reference's nonces, octet by octet.
        let box = try NaClBox(precomputing: client, server.publicKey)
        let clientJSON = try #require(vector.value.client_info_json?.string)
        let clientNonce = try #require(vector.value.client_info_nonce?.hex)
        let clientFrame = try #require(vector.value.client_info_frame?.hex)
        let sealed = box.seal(Array(clientJSON.utf8).span, nonce: clientNonce)
        let info = DERPFrame.clientInfo(client.publicKey, sealed: ByteBuffer(bytes: sealed))
        #expect(Array(info.encoded.readableBytesView) == clientFrame)
        let login = try accepting.accept(try frame(clientFrame))
        #expect(login.client == client.publicKey)
        #expect(login.info == (try JSONDecoder().decode(DERPClientInfo.self, from: Data(clientJSON.utf8))))
        #expect(
            try JSONValue(parsing: try JSONEncoder().encode(login.info)) == JSONValue(parsing: Data(clientJSON.utf8))
        )

        let serverJSON = try #require(vector.value.server_info_json?.string)
        guard case .serverInfo(let reply) = try frame(try #require(vector.value.server_info_frame?.hex)),
            case .serverInfo(let ours) = login.reply
        else {
            Issue.record("no ServerInfo")
            return
        }
        let expected = try JSONDecoder().decode(DERPServerInfo.self, from: Data(serverJSON.utf8))
        #expect(try handshake.open(serverInfo: reply) == expected)
        #expect(try handshake.open(serverInfo: ours) == DERPServerInfo())
    }

    private func key(_ value: JSONValue?) throws -> NodePrivateKey {
        let octets = try #require(value?.hex)
        return try #require(NodePrivateKey(bytes: octets))
    }

    private func frame(_ wire: [UInt8]) throws -> DERPFrame {
        var decoder = DERPFrameDecoder()
        decoder.append(ByteBuffer(bytes: wire))
        return try #require(try decoder.next())
    }

    @Test func `refuses a client whose message is sealed for somebody else`() throws {
        var handshake = DERPClientHandshake(privateKey: NodePrivateKey())
        let login = try handshake.greet(.serverKey(NodePrivateKey().publicKey))
        let server = DERPServerHandshake(privateKey: NodePrivateKey())
        #expect(throws: DERPError.badInfo) { try server.accept(login) }
        #expect(throws: DERPError.malformedFrame) { try server.accept(.keepAlive) }
    }
}

@Suite("DERP certificate vectors") struct DERPCertificateVectorTests {
    @Test(arguments: try VectorFile("derp_certs", in: Bundle.module).cases)
    func `judges certificates as the reference does`(vector: VectorCase) throws {
        switch vector.value.kind?.string {
        case "meta":
            let meta = DERPMetaCertificate(der: try #require(vector.value.der?.hex))
            #expect((meta != nil) == vector.value.is_meta?.bool)
            #expect(meta?.serverKey.bytes.hex == vector.value.server_public?.string)
            #expect((meta?.version).map { Int($0) } == vector.value.serial?.int)
        case "pin":
            let leaf = try #require(vector.value.leaf_der?.hex)
            let meta = try #require(vector.value.meta_der?.hex)
            let host = try #require(vector.value.valid_host?.string)
            let name = try #require(vector.value.cert_name?.string)
            #expect(verdict(name, [leaf, meta], host) == nil)
            #expect(verdict(name, [leaf, meta], "203.0.113.6") == .wrongHost)
            #expect(verdict(name, [leaf, leaf], host) == .tooMany)
        case "pin_check":
            let chain = try #require(vector.value.chain_der?.array).compactMap { $0.hex }
            let host = try #require(vector.value.dialed_host?.string)
            let fault = verdict(try #require(vector.value.cert_name?.string), chain, host)
            #expect((fault == nil) == vector.value.accept?.bool, "\(String(describing: fault))")
        case let other: Issue.record("unknown kind \(other ?? "nil")")
        }
    }

    private func verdict(_ certName: String, _ chain: [[UInt8]], _ host: String) -> DERPCertificateFault? {
        let rule = DERPCertificateRule(certName: certName, hostName: host, insecureForTests: false)
        guard case .pinned(let hash) = rule else { return .malformed }
        do throws(DERPCertificateFault) {
            try DERPCertificateRule.checkPin(hash, chain: chain, dialedHost: host, now: Date())
            return nil
        } catch { return error }
    }
}

@Suite("DERPFrameDecoder against hostile bytes") struct DERPFrameDecoderTests {
    @Test func `never traps on random octets`() {
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<2000 {
            var decoder = DERPFrameDecoder(maximumByteCount: 64)
            let type = UInt8.random(in: 0...0x16, using: &generator)
            let count = Int.random(in: 0..<64, using: &generator)
            let payload = (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
            decoder.append(ByteBuffer(bytes: [type, 0, 0, 0, UInt8(count)] + payload))
            _ = try? decoder.next()
        }
    }
}
