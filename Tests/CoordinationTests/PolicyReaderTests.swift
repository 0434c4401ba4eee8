import Coordination
import Tailcfg
import Testing
import WarrenModel

@Suite("Reading a policy")
struct PolicyReaderTests {
    private static let login = "admin@warren.internal"

    private func read(_ text: String) throws -> GrantPolicy {
        try GrantPolicy(try JSONTree(parsing: Array(text.utf8)), loginName: Self.login)
    }

    @Test(arguments: [
        (#"{"colour": 1}"#, "/colour", FieldError.Code.unknownMember), (#"{"ssh": []}"#, "/ssh", .notSupported),
        (#"{"grants": {}}"#, "/grants", .wrongType), (#"{"grants": [1]}"#, "/grants/0", .wrongType),
        (#"{"grants": [{"dst": ["*"], "ip": ["*"]}]}"#, "/grants/0/src", .required),
        (#"{"grants": [{"src": ["*"], "ip": ["*"]}]}"#, "/grants/0/dst", .required),
        (#"{"grants": [{"src": ["*"], "dst": ["*"]}]}"#, "/grants/0", .required),
        (#"{"grants": [{"src": ["*"], "dst": ["*"], "ip": ["*"], "via": []}]}"#, "/grants/0/via", .unknownMember),
        (#"{"grants": [{"src": ["tag:x"], "dst": ["*"], "ip": ["*"]}]}"#, "/grants/0/src/0", .notFound),
        (#"{"grants": [{"src": ["*"], "dst": ["*", "db"], "ip": ["*"]}]}"#, "/grants/0/dst/1", .notFound),
        (#"{"grants": [{"src": ["group:x"], "dst": ["*"], "ip": ["*"]}]}"#, "/grants/0/src/0", .notFound),
        (#"{"grants": [{"src": ["eve@x.test"], "dst": ["*"], "ip": ["*"]}]}"#, "/grants/0/src/0", .notFound),
        (#"{"grants": [{"src": ["10.0.0.1/8"], "dst": ["*"], "ip": ["*"]}]}"#, "/grants/0/src/0", .badFormat),
        (#"{"grants": [{"src": ["autogroup:internet"], "dst": ["*"], "ip": ["*"]}]}"#, "/grants/0/src/0", .badFormat),
        (#"{"grants": [{"src": ["*"], "dst": ["autogroup:self"], "ip": ["*"]}]}"#, "/grants/0", .refused),
        (#"{"grants": [{"src": ["*"], "dst": ["*"], "ip": ["tcp:70000"]}]}"#, "/grants/0/ip/0", .badFormat),
        (#"{"grants": [{"src": ["*"], "dst": ["*"], "ip": ["*", "icmp:8"]}]}"#, "/grants/0/ip/1", .badFormat),
        (#"{"grants": [{"src": ["*"], "dst": ["*"], "ip": ["90-80"]}]}"#, "/grants/0/ip/0", .badFormat),
        (#"{"grants": [{"src": ["*"], "dst": ["*"], "app": {"x": []}}]}"#, "/grants/0/app/x", .badFormat),
        (#"{"grants": [{"src": ["*"], "dst": ["*"], "app": {"x.y/z": 1}}]}"#, "/grants/0/app/x.y~1z", .wrongType),
        (#"{"acls": [{"action": "deny", "src": ["*"], "dst": ["*:*"]}]}"#, "/acls/0/action", .badFormat),
        (#"{"acls": [{"action": "accept", "src": ["*"], "dst": ["*"]}]}"#, "/acls/0/dst/0", .badFormat),
        (#"{"acls": [{"action": "accept", "src": ["*"], "dst": ["*:x"]}]}"#, "/acls/0/dst/0", .badFormat),
        (
            #"{"acls": [{"action": "accept", "src": ["*"], "dst": ["*:22"], "proto": "icmp"}]}"#, "/acls/0/dst/0",
            .badFormat
        ),
        (#"{"acls": [{"action": "accept", "src": ["*"], "dst": ["*:*"], "proto": "0"}]}"#, "/acls/0/proto", .badFormat),
        (#"{"hosts": {"db": "10.0.0.300"}}"#, "/hosts/db", .badFormat),
        (#"{"hosts": {"a:b": "10.0.0.3"}}"#, "/hosts/a:b", .badFormat),
        (#"{"tagOwners": {"ci": []}}"#, "/tagOwners/ci", .badFormat),
        (#"{"tagOwners": {"tag:ci": ["tag:no"]}}"#, "/tagOwners/tag:ci/0", .notFound),
        (#"{"groups": {"dev": []}}"#, "/groups/dev", .badFormat),
        (#"{"autoApprovers": {"routes": {"10.0.0.1/8": []}}}"#, "/autoApprovers/routes/10.0.0.1~18", .badFormat),
        (#"{"autoApprovers": {"exitNode": "*"}}"#, "/autoApprovers/exitNode", .wrongType),
        (#"{"autoApprovers": {"exits": []}}"#, "/autoApprovers/exits", .unknownMember),
    ])
    func `names what is wrong with a policy`(_ text: String, _ pointer: String, _ code: FieldError.Code) throws {
        let failure = try #require(throws: ValidationFailure.self) { try read(text) }
        #expect(failure.errors.contains { $0.pointer == pointer && $0.code == code }, "\(failure.errors)")
    }

    @Test func `finds all faults at once`() throws {
        let failure = try #require(throws: ValidationFailure.self) {
            try read(#"{"a": 1, "grants": [{"src": ["x"], "dst": ["y"], "ip": ["z"]}], "hosts": {"h": 1}}"#)
        }
        #expect(
            Set(failure.errors.map(\.pointer)) == [
                "/a", "/grants/0/src/0", "/grants/0/dst/0", "/grants/0/ip/0", "/hosts/h",
            ]
        )
    }

    @Test func `reads what Tailscale's vocabulary has`() throws {
        let policy = try read(
            #"""
            {"groups": {"group:dev": ["admin@warren.internal"]}, "hosts": {"db": "100.64.0.9", "lan": "10.0.0.0/24"},
             "tagOwners": {"tag:web": ["group:dev"], "tag:db": []},
             "grants": [{"src": ["group:dev", "tag:web"], "dst": ["db", "lan", "tag:db"], "ip": ["tcp:5432", "icmp:*"]},
                        {"src": ["autogroup:member"], "dst": ["autogroup:self", "autogroup:internet"], "ip": ["*"]},
                        {"src": ["*"], "dst": ["tag:web"], "app": {"example.com/cap/x": [{"a": 1}]}}],
             "acls": [{"action": "accept", "src": ["admin@warren.internal"], "dst": ["tag:db:22,80-90", "[fd7a:115c:a1e0::9]:*"],
                       "proto": "tcp"}],
             "autoApprovers": {"routes": {"10.0.0.0/8": ["tag:web"]}, "exitNode": ["autogroup:member"]}}
            """#
        )
        #expect(policy.grants.count == 5)
        #expect(policy.grants[0].sources == [.member, .tag("tag:web")])
        #expect(policy.grants[0].ports.map(\.protocols) == [[6], [1, 58]])
        #expect(policy.grants[1].destinations == [.ownNodes, .internet])
        #expect(policy.grants[2].ports.isEmpty && policy.grants[2].capabilities.keys.contains("example.com/cap/x"))
        #expect(
            policy.grants[3].ports.map(\.ports.first) == [22, 80]
                && policy.grants[3].ports.map(\.ports.last) == [22, 90]
        )
        #expect(policy.grants[4].destinations.count == 1)
    }

    @Test(arguments: ["*", "22", "80-90", "tcp:22", "udp:1000-2000", "tcp:*", "icmp:*", "47:*", "sctp:5", "132:5"])
    func `reads protocols and ports`(_ text: String) { #expect(PortClause(text) != nil) }

    @Test(arguments: [
        "", "tcp", "tcp:", ":22", "-", "1-", "tcp:1-2-3", "icmp:1", "gre:7", "0:*", "255:*", "tcp:22:23", "+1", "٣",
    ])
    func `refuses what is no protocol and port`(_ text: String) { #expect(PortClause(text) == nil) }

    @Test func `an empty policy allows nothing`() throws { #expect(try read("{}").grants.isEmpty) }
}
