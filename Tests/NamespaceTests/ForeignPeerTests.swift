import Foundation
import TestSupport
import Testing

@Suite(
    "Programs of others in the same network",
    .enabled(if: NamespacePrerequisites.areMet, "needs root, ip, nft and network namespaces"),
    .timeLimit(.minutes(1)),
    .serialized
) struct ForeignPeerTests {
    /// Two machines with a cable between them: ours has 10.1.0.1, theirs 10.1.0.2.
    private func cable() throws -> Network {
        let network = try Network(["ours", "theirs"])
        do {
            try network.connect("ours", "eth0", "theirs", "eth0")
            try network.run("ours", "ip addr add 10.1.0.1/24 dev eth0")
            try network.run("theirs", "ip addr add 10.1.0.2/24 dev eth0")
            return network
        } catch {
            network.remove()
            throw error
        }
    }

    @Test(
        .enabled(
            if: NamespacePrerequisites.has("wireguard-go") && NamespacePrerequisites.has("wg"),
            "needs wireguard-go and wireguard-tools"
        )
    )
    func `wireguard-go handshakes, rekeys and roams with our tunnel, both ways`() async throws {
        let network = try cable()
        defer { network.remove() }
        // The name is one of the file system, where wireguard-go has its control socket.
        let interface = "wg\(UInt16.random(in: 0 ... .max))"
        func key() throws -> (secret: String, shared: String) {
            let secret = try Shell.run(["wg", "genkey"])
            return (secret.trimmed, try Shell.run(["wg", "pubkey"], input: secret).trimmed)
        }
        let (ours, theirs) = (try key(), try key())
        let keyFile = "\(network.folder)/key"
        try Data(theirs.secret.utf8).write(to: URL(fileURLWithPath: keyFile))
        let foreign = try network.start("theirs", ["wireguard-go", "-f", interface])
        defer { foreign.stop() }
        let up = ContinuousClock().now + .seconds(5)
        while (try? network.run("theirs", "wg show \(interface)")) == nil {
            try #require(ContinuousClock().now < up, "wireguard-go does not start")
            try await Task.sleep(for: .milliseconds(50))
        }
        try network.run(
            "theirs",
            """
            wg set \(interface) private-key \(keyFile) listen-port 51820
            wg set \(interface) peer \(ours.shared) allowed-ips 10.9.0.1/32 endpoint 10.1.0.1:51821
            ip addr add 10.9.0.2/24 dev \(interface)
            ip link set \(interface) up
            """
        )
        let probe = try network.probe(
            "ours",
            ["wireguard", ours.secret, theirs.shared, "51821", "10.1.0.2:51820", "10.1.0.3:51822"]
        )
        _ = try await probe.next()

        func theyReachUs(_ occasion: String) {
            // A packet may be lost on the way that was left a moment ago.
            let isReached = (0..<6).contains { _ in
                (try? network.run("theirs", "busybox ping -q -c 1 -W 1 10.9.0.1")) != nil
            }
            #expect(isReached, "\(occasion)")
        }
        func weReachThem(_ command: String) async throws {
            let answer = try await probe.ask(command)
            #expect(answer.isMet?.bool == true, "\(command): \(answer)")
        }
        theyReachUs("their handshake")
        try await weReachThem("ping")
        // 190 s later our session is over; then we are the initiator, who rekeys after 130 more.
        _ = try await probe.ask("advance 190")
        try await weReachThem("rekey")
        _ = try await probe.ask("advance 130")
        try await weReachThem("rekey")
        theyReachUs("our handshake")
        // An interface that starts over has no sessions: the next handshake is theirs again.
        try network.run("theirs", "ip link set \(interface) down\nip link set \(interface) up")
        theyReachUs("their restart")
        // The new port has wireguard-go forget the source address that it remembers for its peer.
        try network.run(
            "theirs",
            """
            ip addr flush dev eth0
            ip addr add 10.1.0.3/24 dev eth0
            wg set \(interface) listen-port 51822
            """
        )
        theyReachUs("their new address")
        try await weReachThem("ping")
        try network.run("ours", "ip addr flush dev eth0\nip addr add 10.1.0.4/24 dev eth0")
        try await weReachThem("ping")
        theyReachUs("our new address")
    }

    @Test(.enabled(if: NamespacePrerequisites.has("turnserver"), "needs coturn"))
    func `coturn tells our netcheck where we are`() async throws {
        let network = try cable()
        defer { network.remove() }
        try network.run("theirs", "ip addr add 10.1.0.3/24 dev eth0")
        let server = try network.start(
            "theirs",
            [
                "turnserver", "-S", "-n", "-L", "10.1.0.2", "-L", "10.1.0.3", "--no-cli", "--no-tls", "--no-dtls",
                "--log-file", "\(network.folder)/turn.log", "--pidfile", "\(network.folder)/turn.pid",
            ]
        )
        defer { server.stop() }
        var report = JSONValue.null
        for _ in 0..<4 where report.hasUDP?.bool != true {
            report = try await network.probe("ours", ["stun", "10.1.0.2", "10.1.0.3"]).next()
        }
        #expect(report.mappingVaries?.bool == false, "\(report)")
        let addresses = report.stun?.array?.compactMap(\.string) ?? []
        #expect(addresses.count == 1)
        #expect(addresses.first?.hasPrefix("10.1.0.1:") == true, "\(report)")
    }

    @Test(.enabled(if: NamespacePrerequisites.has("stun"), "needs stun-client"))
    func `an ordinary STUN client gets no answer from the coordination server`() async throws {
        let network = try cable()
        defer { network.remove() }
        let server = try network.probe("theirs", ["server", "10.1.0.2", network.folder])
        _ = try await server.next()
        let ours = try await network.probe("ours", ["stun", "10.1.0.2"]).next()
        #expect(ours.hasUDP?.bool == true, "\(ours)")
        // Whoever does not say it is a node must not be able to use the server against others.
        let said = try? network.run("ours", "timeout -k 1 2 stun 10.1.0.2 1")
        #expect(said?.contains("MappedAddress") != true)
    }
}

extension String {
    fileprivate var trimmed: String { trimmingCharacters(in: .whitespacesAndNewlines) }
}
