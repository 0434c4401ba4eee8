import Foundation
import TestSupport
import Testing
import WarrenModel

/// The three walks of the house with real guests, a real daemon and real sockets.
///
/// Serialized: each test runs up to two emulated guests, and the machine has few cores.
@Suite("Walks through the house", .serialized, .enabled(if: TestEnvironment.hasGuests), .timeLimit(.minutes(5)))
struct WalkTests {
    @Test func `one POST gives a machine that its tailnet reaches by name`() async throws {
        let daemon = try DaemonProcess()
        try await daemon.using { api in
            let sink = WebhookSink()
            let hook = try await sink.start()
            let authKey = try await api.authKey()
            let web = try await api.createVM(
                #"{"name":"web","networkInterface":{"authKey":"\#(authKey)"}}"#,
                wait: "network"
            )
            #expect(web.network?.state?.string == "Running")
            #expect(web.network?.addresses?.array?.count == 2)
            #expect(web.network?.dnsName?.string == "web.warren.internal.")
            #expect(web.networkInterface?.authKey == .object(["set": .bool(true)]))

            let secret = "whsec_" + Data((0..<24).map { UInt8($0) }).base64EncodedString()
            _ = try await api.createVM(
                #"{"name":"db","labels":{"role":"data"},"networkInterface":{"loginUrlCb":{"url":"\#(hook)","secret":"\#(secret)"}}}"#
            )
            let delivery = try await sink.first("vm.network.login_required")
            #expect(WebhookSink.isGenuine(delivery, secret: secret))
            #expect(!WebhookSink.isGenuine(delivery, secret: "whsec_" + Data(count: 24).base64EncodedString()))
            #expect(delivery.json["data"]?.vm?.name?.string == "db")
            #expect(delivery.json["data"]?.vm?.labels?.role?.string == "data")
            let url = try #require(delivery.json["data"]?.loginUrl?.string)
            try await LoginPage.approve(url)
            try await api.wait("db", "network=Running")
            await sink.stop()

            try await api.wait("web", "agent=ready")
            try await api.wait("db", "agent=ready")
            for name in ["web", "db"] { try await api.waitForLease(name) }
            let ping = try await api.shell("web", "ping -c 2 -w 10 db")
            #expect(ping.exitCode == 0, "\(ping)")
            let full = try await api.shell("web", "ping -c 1 -w 10 db.warren.internal")
            #expect(full.exitCode == 0, "\(full)")
            let addresses = try await api.send(.GET, "/v1/vms/db").json.network?.addresses?.array ?? []
            let ipv6 = try #require(addresses.compactMap(\.string).first { $0.contains(":") })
            let overIPv6 = try await api.shell("web", "ping -c 2 -w 10 \(ipv6)")
            #expect(overIPv6.exitCode == 0, "\(overIPv6)")
            let fetched = try await api.shell("web", "wget -q -O - http://db/20MiB | wc -c", timeout: "80s")
            #expect(fetched.output.trimmingCharacters(in: .whitespacesAndNewlines) == "\(20 << 20)", "\(fetched)")

            // Both nodes are on one machine, so the path must not stay on the relay.
            let direct = try await Poll.until(within: .seconds(20)) {
                let network = try await api.send(.GET, "/v1/vms/web/network").json
                return network.peers?.array?.contains { $0.path?.string == "direct" } ?? false
            }
            #expect(direct)

            let missing = try await api.shell("web", "nslookup nobody.warren.internal 100.100.100.100")
            #expect(missing.exitCode != 0)
            let hostname = try await api.shell("db", "hostname")
            #expect(hostname.output.contains("db"))

            let log = try String(contentsOf: daemon.log, encoding: .utf8)
            #expect(log.contains("db"))
            for leaked in [authKey, secret, url, api.token ?? "no token"] { #expect(!log.contains(leaked)) }
        }
    }

    @Test func `nodes that may not use UDP reach each other by DERP alone`() async throws {
        var settings = DaemonProcess.Settings()
        settings.extraTailnet = ["udpPorts: \"off\""]
        let daemon = try DaemonProcess(settings)
        try await daemon.using { api in
            let key = try await api.authKey(#"{"reusable":true}"#)
            for name in ["one", "two"] {
                _ = try await api.createVM(#"{"name":"\#(name)","networkInterface":{"authKey":"\#(key)"}}"#)
            }
            for name in ["one", "two"] {
                try await api.wait(name, "network=Running")
                try await api.wait(name, "agent=ready")
                try await api.waitForLease(name)
            }
            let ping = try await api.shell("one", "ping -c 3 -w 20 two")
            #expect(ping.exitCode == 0, "\(ping)")
            let network = try await api.send(.GET, "/v1/vms/one/network").json
            #expect(network.peers?[0]?.path?.string?.hasPrefix("derp:") == true, "\(network)")
        }
    }

    @Test func `guests and addresses survive kill -9 of the daemon`() async throws {
        let daemon = try DaemonProcess()
        do {
            let first = try await daemon.start()
            let created = try await first.createVM(
                #"{"name":"web","networkInterface":{"authKey":"\#(try await first.authKey())"}}"#,
                wait: "agent"
            )
            try await first.wait("web", "network=Running")
            try await first.waitForLease("web")
            let before = try await first.send(.GET, "/v1/vms/web").json
            let boot = try await first.shell("web", "cat /proc/sys/kernel/random/boot_id")
            #expect(boot.exitCode == 0)

            await daemon.kill()
            let second = try await daemon.start()
            try await second.wait("web", "state=running")
            try await second.wait("web", "network=Running")
            try await second.wait("web", "agent=ready")
            let after = try await second.send(.GET, "/v1/vms/web").json
            #expect(after.id == created.id)
            #expect(after.network?.addresses == before.network?.addresses)
            let later = try await second.shell("web", "cat /proc/sys/kernel/random/boot_id")
            #expect(later.output == boot.output)

            // A guest that dies while no daemon runs is found dead, and the reason says so.
            await daemon.kill()
            let machine = try #require(after.id?.string)
            try ProcessTable.killQEMU(of: machine)
            let third = try await daemon.start()
            let found = try await Poll.until(within: .seconds(20)) {
                let events = try await third.send(.GET, "/v1/events?limit=500").json
                return events.items?.array?.contains { $0.type?.string == "vm.crashed" } ?? false
            }
            #expect(found)
            await daemon.destroy()
        } catch {
            await daemon.destroy()
            throw error
        }
    }

    @Test func `stop, start and delete keep and give back the node`() async throws {
        let daemon = try DaemonProcess()
        try await daemon.using { api in
            let key = try await api.authKey()
            let created = try await api.createVM(
                #"{"name":"web","networkInterface":{"authKey":"\#(key)"}}"#,
                wait: "network"
            )
            let address = created.network?.addresses?[0]?.string
            try await api.wait("web", "agent=ready")
            let stop = try await api.send(.POST, "/v1/vms/web/stop", #"{"timeout":"8s"}"#)
            #expect(stop.status == 202, "\(stop)")
            try await api.wait("web", "state=stopped")
            #expect(try await api.send(.POST, "/v1/vms/web/stop").status == 200)
            let refused = try await api.send(.POST, "/v1/vms/web/exec", #"{"command":["true"]}"#)
            #expect(refused.status == 409, "\(refused)")
            let log = try await api.send(.GET, "/v1/vms/web/console/log")
            #expect(log.status == 200)
            #expect(!log.body.isEmpty)
            #expect(try await api.send(.POST, "/v1/vms/web/start").status == 202)
            let again = try await api.wait("web", "network=Running")
            #expect(again.network?.addresses?[0]?.string == address)
            let id = try #require(created.id?.string)
            #expect(try await api.send(.DELETE, "/v1/vms/web?force=true").status == 202)
            #expect(
                try await Poll.until(within: .seconds(15)) {
                    try await api.send(.GET, "/v1/tailnet/nodes").json.items?.array?.isEmpty == true
                }
            )
            #expect(try await api.send(.GET, "/v1/vms/web").status == 404)
            // The node is gone a moment before that is written.
            #expect(
                try await Poll.until(within: .seconds(5)) {
                    try await api.send(.GET, "/v1/vms/\(id)").json.network?.cleanup?.string == "done"
                }
            )
            #expect(
                try await Poll.until(within: .seconds(5)) {
                    !FileManager.default.fileExists(atPath: daemon.state("vms/\(id)").path)
                }
            )
        }
    }

    @Test func `a login URL is delivered after kill -9 and after failures`() async throws {
        let daemon = try DaemonProcess()
        try await daemon.using { first in
            let sink = WebhookSink()
            let hook = try await sink.start(failing: 1)
            _ = try await first.createVM(
                #"{"name":"shy","networkInterface":{"loginUrlCb":{"url":"\#(hook)"}}}"#
            )
            let earlier = try await sink.first("vm.network.login_required")
            await daemon.kill()
            let api = try await daemon.start()
            #expect(
                try await Poll.until(within: .seconds(30)) {
                    await sink.deliveries.filter { $0.json.type?.string == "vm.network.login_required" }.count >= 2
                }
            )
            try await api.wait("shy", "network=NeedsLogin")
            #expect(earlier.json["data"]?.loginUrl?.string?.hasPrefix("http://") == true)
            await sink.stop()
        }
    }
}

extension API {
    /// Waits until the guest's own DHCP clients have its tailnet addresses.
    func waitForLease(_ vm: String) async throws {
        let found = ["inet 100\\.", "inet6 fd7a:115c:a1e0:"].map { "ip addr show eth0 | grep -q '\($0)'" }
        let leased = try await Poll.until(within: .seconds(20)) {
            try await shell(vm, found.joined(separator: " && ")).exitCode == 0
        }
        guard leased else {
            throw HarnessError("\(vm) has no lease: \(try await shell(vm, "ip addr; ps; dmesg | tail -5"))")
        }
    }
}

extension DaemonProcess {
    /// Runs `body` with a started daemon, and takes everything down afterwards.
    func using(_ body: (API) async throws -> Void) async throws {
        do {
            try await body(try await start())
        } catch {
            let tail = logTail
            await destroy()
            throw HarnessError("\(error)\n\(tail)")
        }
        await destroy()
    }
}
