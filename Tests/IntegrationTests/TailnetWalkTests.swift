import Foundation
import TestSupport
import Testing

/// The embedded tailnet from the command line, with a daemon and its database behind it.
@Suite("Administration of the tailnet", .timeLimit(.minutes(2)))
struct TailnetWalkTests {
    @Test func `policy and DNS settings go out by file, and a bad policy names its faults`() async throws {
        let daemon = try DaemonProcess()
        try await daemon.using { api in
            let token = try #require(api.token)
            let environment = ["WARREN_URL": api.base, "WARREN_TOKEN": token, "HOME": "/nonexistent"]
            func warren(_ arguments: String...) async throws -> CommandRun {
                try await CommandRun("warren", ["tailnet"] + arguments, environment: environment)
            }
            let file = daemon.directory.appendingPathComponent("policy.json")
            try Data(
                #"{"hosts": {"nas": "10.0.0.9"}, "grants": [{"src": ["*"], "dst": ["nas"], "ip": ["tcp:445"]}]}"#.utf8
            )
            .write(to: file)
            let trial = try await warren("policy", "set", file.path, "--dry-run")
            #expect(trial.exitCode == 0, "\(trial)")
            let before = try await warren("policy", "get")
            #expect(before.exitCode == 0 && !before.output.contains("nas"), "\(before)")
            let set = try await warren("policy", "set", file.path)
            #expect(set.exitCode == 0, "\(set)")
            let dns = daemon.directory.appendingPathComponent("dns.json")
            try Data(#"{"routes": {"corp.example": ["10.0.0.53"]}}"#.utf8).write(to: dns)
            let resolvers = try await warren("dns", "set", dns.path)
            #expect(resolvers.exitCode == 0, "\(resolvers)")
            try Data(#"{"grants": [{"src": ["tag:x"], "dst": ["*"], "ip": ["*"]}]}"#.utf8).write(to: file)
            let bad = try await warren("policy", "set", file.path)
            #expect(bad.exitCode == 1 && bad.errors.contains("/grants/0/src/0"), "\(bad)")
            let missing = try await warren("rename", "nobody", "somebody")
            #expect(missing.exitCode == 1 && missing.errors.contains("no such node"), "\(missing)")
            let nodes = try await warren("nodes")
            #expect(nodes.exitCode == 0 && nodes.output.contains("ROUTES"), "\(nodes)")
        }
    }

    @Test(.enabled(if: TestEnvironment.hasGuests))
    func `what an administrator decides reaches the node of a VM`() async throws {
        let daemon = try DaemonProcess()
        try await daemon.using { api in
            let key = try await api.authKey()
            _ = try await api.createVM(
                #"{"name":"web","networkInterface":{"authKey":"\#(key)"}}"#,
                wait: "network"
            )
            let renamed = try await api.send(.PATCH, "/v1/tailnet/nodes/web", #"{"name":"shop"}"#)
            #expect(renamed.status == 200, "\(renamed)")
            #expect(
                try await Poll.until(within: .seconds(10)) {
                    let network = try await api.send(.GET, "/v1/vms/web/network").json
                    return network["self"]?.dnsName?.string == "shop.warren.internal."
                }
            )
            let routes = try await api.send(.POST, "/v1/tailnet/nodes/shop/routes", #"{"approved":["10.9.0.0/24"]}"#)
            #expect(routes.json.routes?.approved == .array([.string("10.9.0.0/24")]), "\(routes)")
            #expect(try await api.send(.DELETE, "/v1/tailnet/nodes/shop").status == 204)
            try await api.wait("web", "network=NeedsLogin")
        }
    }
}
