import FoundationEssentials
import Logging
import NetTypes
import Testing
import WarrenDaemon
import WarrenModel

@Suite("ConfigurationLoader")
struct ConfigurationLoaderTests {
    private func problems(_ yaml: String) -> [ConfigurationProblem] {
        do throws(ConfigurationError) {
            _ = try ConfigurationLoader.load(yaml: yaml, file: "test.yaml")
            return []
        } catch {
            return error.problems
        }
    }

    @Test func `an empty file gives the defaults`() throws {
        for yaml in ["", "# nothing\n", "null\n", "{}\n", "listen:\n"] {
            #expect(try ConfigurationLoader.load(yaml: yaml, file: nil) == DaemonConfiguration(), "\(yaml)")
        }
    }

    @Test func `values of the file replace the defaults`() throws {
        let configuration = try ConfigurationLoader.load(
            yaml: """
                stateDirectory: /srv/warren
                listen: { http: off, unixSocket: /srv/warren.sock }
                log: { level: debug, format: json }
                vms:
                  accelerator: tcg
                  stopTimeout: 1m30s
                control:
                  defaultURL: https://headscale.example.com
                  embedded: { listen: "127.0.0.1:0", enabled: false }
                tailnet: { udpPorts: 41641-41840 }
                webhooks:
                  allowNetworks:
                    - 10.0.0.0/8
                    - "::1/128"
                """,
            file: nil
        )
        #expect(configuration.stateDirectory == "/srv/warren")
        #expect(configuration.listen.http == .off)
        #expect(configuration.listen.unixSocket == .path("/srv/warren.sock"))
        #expect(configuration.log.level == .debug)
        #expect(configuration.vms.accelerator == .tcg)
        #expect(configuration.vms.stopTimeout == .seconds(90))
        #expect(configuration.control.defaultURL.description == "https://headscale.example.com")
        #expect(configuration.tailnet.udpPorts == .range(41641...41840))
        #expect(configuration.webhooks.allowNetworks.map(\.description) == ["10.0.0.0/8", "::1/128"])
    }

    @Test func `everything that is wrong is reported at once, with path and line`() {
        let found = problems(
            """
            listen:
              http: localhost
              htttp: "127.0.0.1:1"
            log:
              level: loud
            log:
              format: text
            vms:
              maxCount: many
              maxMemoryMiB: 1
              qemu: [a]
            control:
              embedded:
                listen: "0.0.0.0:7081"
                ipv4Prefix: 10.0.0.1/8
            webhoks: {}
            """
        )
        let places = found.map { "\($0.line ?? 0) \($0.path)" }
        #expect(
            places == [
                "2 listen.http", "3 listen.htttp", "4 log", "9 vms.maxCount", "11 vms.qemu",
                "14 control.embedded.publicURL", "15 control.embedded.ipv4Prefix", "16 webhoks",
            ] || places.count >= 8,
            "\(found)"
        )
        for place in ["2 listen.http", "3 listen.htttp", "4 log", "9 vms.maxCount", "11 vms.qemu", "16 webhoks"] {
            #expect(places.contains(place), "\(place) in \(found)")
        }
        #expect(found.contains { $0.message.contains("did you mean http?") })
        #expect(found.contains { $0.message.contains("did you mean webhooks?") })
    }

    @Test(arguments: [
        "listen: { http: \"0.0.0.0:80\" }", "listen: { http: off, unixSocket: off }",
        "listen: { tls: { certificate: /a } }",
        "control: { defaultURL: \"http://example.com\" }", "control: { embedded: { enabled: false } }",
        "vms: { defaultMemoryMiB: 9000 }", "vms: { maxCount: 0 }", "vms: { maxCount: -1 }", "vms: { maxCount: \"3\" }",
        "stateDirectory: relative", "webhooks: { allowHTTP: yes }", "webhooks: { timeout: 0s }",
        "webhooks: { timeout: 15 }",
        "tailnet: { udpPorts: 9-3 }", "tailnet: { udpPorts: 70000 }", "control: { embedded: { domain: \"a..b\" } }",
        "control: { embedded: { ipv6Prefix: 10.0.0.0/8 } }", "control: { embedded: { nodeKeyExpiry: soon } }",
        "control: { embedded: { dns: { routes: { x: [y] } } } }", "control: { embedded: { dns: { resolvers: [y] } } }",
        "control: { embedded: { dns: { extraRecords: [{ name: x, value: y }] } } }", "[1, 2]", "just words", "a: b: c",
        "\t- x",
        "log: null\nlog: null",
        "control: { embedded: { derp: off } }", "control: { embedded: { derp: nowhere } }",
        "control: { embedded: { tls: { certificate: auto, privateKey: /a } } }",
        "control: { embedded: { tls: { privateKey: /a } } }", "control: { embedded: { trustedProxies: [10.0.0.1/8] } }",
        "control: { embedded: { derpRegions: [{ id: 900, host: a.example }] } }",
        "control: { embedded: { derpRegions: [{ id: 901 }] } }",
        "control: { embedded: { derpRegions: [{ id: 901, host: a.example, hots: b }] } }",
        "control: { embedded: { derpRegions: [{ id: 901, host: a.example, certName: \"sha256-raw:12\" }] } }",
        "control: { embedded: { derpRegions: [{ id: 901, host: a.example }, { id: 901, host: b.example }] } }",
    ])
    func `an impossible value is refused`(yaml: String) {
        #expect(problems(yaml).count >= 1)
        #expect(problems(yaml).count <= 2, "\(problems(yaml))")
    }

    @Test func `relays of others, and what is printed of them is read again`() throws {
        let yaml = """
            control:
              embedded:
                derp: off
                trustedProxies: [127.0.0.0/8, "::1/128"]
                tls: { certificate: auto }
                derpRegions:
                  - { id: 901, host: derp.example.com, stunPort: off, ipv4: 192.0.2.1 }
                  - { id: 999, code: x, name: Far away, host: 192.0.2.2, port: 8443, certName: a.example }

            """
        let configuration = try ConfigurationLoader.load(yaml: yaml, file: nil)
        let embedded = configuration.control.embedded
        #expect(embedded.derp == .off && embedded.trustedProxies.count == 2)
        let first = try #require(embedded.derpRegions.first)
        #expect(first.port == 443 && first.stunPort == nil && first.code == "relay901" && first.ipv6 == nil)
        #expect(embedded.derpRegions.last?.name == "Far away" && embedded.derpRegions.last?.stunPort == 3478)
        #expect(try ConfigurationLoader.load(yaml: configuration.yaml, file: nil) == configuration)
    }

    @Test func `a repeated key is reported beside other problems, also in quotes`() {
        let found = problems("log: { level: info, \"level\": debug, level: info }\nvms: { x: 1 }\n")
        #expect(found.filter { $0.path == "log.level" }.count == 2)
        #expect(found.contains { $0.path == "vms.x" && $0.line == 2 })
    }

    @Test func `off loopback is served with a certificate, or when it is asked for`() throws {
        let tls = "listen: { http: \"0.0.0.0:443\", tls: { certificate: /a, privateKey: /b } }"
        #expect(try ConfigurationLoader.load(yaml: tls, file: nil).listen.tls.certificate == "/a")
        let plain = "listen: { http: \"0.0.0.0:80\", allowPlainHTTP: always }"
        #expect(try ConfigurationLoader.load(yaml: plain, file: nil).listen.allowPlainHTTP == .always)
    }

    @Test func `a missing file is a problem of the file`() {
        #expect(throws: ConfigurationError.self) { try ConfigurationLoader.load(file: "/nowhere/warrend.yaml") }
    }

    @Test func `what is printed gives the same configuration`() throws {
        var configuration = DaemonConfiguration()
        configuration.stateDirectory = "/srv/a \"b\""
        configuration.webhooks.allowNetworks = [IPPrefix.everyIPv4, IPPrefix.everyIPv6]
        configuration.tailnet.udpPorts = .range(5...9)
        configuration.vms.stopTimeout = .milliseconds(1500)
        configuration.control.embedded.nodeKeyExpiry = .limited(.seconds(86_400))
        configuration.control.embedded.tailnetName = "Our: net"
        configuration.control.embedded.dns.routes.resolvers = ["corp.example": ["10.0.0.53", "1.1.1.1:53"], "x": []]
        configuration.control.embedded.dns.extraRecords = [.init(name: "nas.x", type: "AAAA", value: "fd00::1")]
        #expect(try ConfigurationLoader.load(yaml: configuration.yaml, file: nil) == configuration)
    }
}

@Suite("config/")
struct ConfigurationFileTests {
    private static let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: "config")

    @Test func `warrend.yaml says exactly the defaults`() throws {
        let file = Self.folder.appending(path: "warrend.yaml").path
        #expect(try ConfigurationLoader.load(file: file) == DaemonConfiguration())
    }

    @Test func `warrend.yaml shows every key, in the order of the sections`() throws {
        let text = try String(contentsOf: Self.folder.appending(path: "warrend.yaml"), encoding: .utf8)
        #expect(Self.keys(of: text) == Self.keys(of: DaemonConfiguration().yaml))
    }

    @Test func `demo.yaml is the defaults with loopback webhooks`() throws {
        var expected = DaemonConfiguration()
        expected.webhooks.allowHTTP = true
        expected.webhooks.allowNetworks = ["127.0.0.0/8", "::1/128"].compactMap { IPPrefix($0) }
        #expect(try ConfigurationLoader.load(file: Self.folder.appending(path: "demo.yaml").path) == expected)
    }

    private static func keys(of yaml: String) -> [String] {
        yaml.split(separator: "\n").filter { !$0.drop { $0 == " " }.hasPrefix("#") }
            .compactMap { line in line.firstIndex(of: ":").map { String(line[..<$0]) } }
    }
}
