import Coordination
import Foundation
import HTTPTypes
import Testing
import WarrenAPI
import WarrenModel

@Suite("openapi/")
struct ContractTests {
    private static let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: "openapi")

    private static func example(_ name: String) throws -> JSONTree {
        try JSONTree(parsing: Array(Data(contentsOf: folder.appending(path: "examples/\(name).json"))))
    }

    @Test func `the document and the router name the same routes`() async throws {
        let routes = try await APIHarness.with { api in api.router.routes }
        let document = try OpenAPIDocument.tree()
        var paths: Set<String> = []
        for (path, item) in document["paths"]?.object ?? [:] {
            for method in item.object?.keys ?? [:].keys where method != "parameters" {
                paths.insert("\(method.uppercased()) \(path)")
            }
        }
        #expect(paths == Set(routes.map { "\($0.method.rawValue) \($0.path)" }))
    }

    @Test func `routes that take a body say so in the document`() async throws {
        let routes = try await APIHarness.with { api in api.router.routes }
        let document = try OpenAPIDocument.tree()
        for route in routes {
            let operation = document["paths"]?[route.path]?[route.method.rawValue.lowercased()]
            #expect((operation?["requestBody"] != nil) == route.takesBody, "\(route.method) \(route.path)")
            let parameters = operation?["parameters"]?.array ?? []
            let hasKey = parameters.contains { $0["$ref"] == "#/components/parameters/IdempotencyKey" }
            #expect(hasKey == route.creates, "\(route.method) \(route.path)")
            #expect((operation?["security"] == []) == (route.access == .open), "\(route.path)")
        }
    }

    @Test func `every reference leads somewhere`() throws {
        let document = try OpenAPIDocument.tree()
        func check(_ tree: JSONTree) {
            switch tree {
            case .object(let members):
                if let reference = members["$ref"]?.string {
                    let found = reference.dropFirst(2).split(separator: "/").reduce(Optional(document)) {
                        $0?[String($1)]
                    }
                    #expect(found != nil, "\(reference)")
                }
                for member in members.values { check(member) }
            case .array(let elements): for element in elements { check(element) }
            default: break
            }
        }
        check(document)
    }

    @Test func `the files of examples are the document's examples`() throws {
        let examples = try OpenAPIDocument.tree()["components"]?["examples"]?.object ?? [:]
        let files = try FileManager.default.contentsOfDirectory(atPath: Self.folder.appending(path: "examples").path)
        #expect(Set(files.map { String($0.dropLast(5)) }) == Set(examples.keys))
        for (name, example) in examples { #expect(try example["value"] == Self.example(name), "\(name)") }
    }

    @Test func `each example decodes as what it is an example of`() throws {
        let limits = VMLimits(maxMemoryMiB: 8192, maxCPUs: 4)
        _ = try CreateVMRequest(try Self.example("create-vm-auth-key"), limits: limits)
        _ = try CreateVMRequest(try Self.example("create-vm-login"), limits: limits)
        _ = try StopRequest(try Self.example("stop"))
        _ = try ExecRequest(try Self.example("exec"))
        _ = try CreateAuthKeyRequest(try Self.example("create-auth-key"))
        _ = try ApproveRoutesRequest(try Self.example("approve-routes"))
        _ = try PatchTailnetNodeRequest(try Self.example("patch-tailnet-node"))
        _ = try GrantPolicy(try Self.example("tailnet-policy"), loginName: "admin@warren.internal")
        #expect(try TailnetDNS(try Self.example("tailnet-dns")).routes.count == 1)
        try check(TailnetDNS.self, "tailnet-dns")
        try check(TailnetNodeAnswer.self, "tailnet-node")
        _ = try NetworkPingRequest(try Self.example("ping"))
        try check(NetworkPingAnswer.self, "ping-answer")
        try check(VirtualMachine.self, "vm")
        try check(NetworkDetail.self, "network")
        try check(ExecAnswer.self, "exec-answer")
        try check(Page<Event>.self, "events")
        try check(AuthKeyAnswer.self, "auth-key")
        try check(HealthAnswer.self, "readyz")
        try check(ServiceDescription.self, "service")
        try check(Problem.self, "problem")
    }

    /// Decodes an example, and finds every member again in what the type writes.
    private func check<Value: Codable>(_ type: Value.Type, _ name: String) throws {
        let example = try Self.example(name)
        let value = try ModelJSON.decode(type, from: try ModelJSON.bytes(example))
        #expect(try JSONTree(parsing: ModelJSON.bytes(value)) == example, "\(name)")
    }
}
