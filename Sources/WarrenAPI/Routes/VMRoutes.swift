import FoundationEssentials
import HTTPTypes
import Store
import VirtualMachines
import WarrenModel

/// `/v1/vms`: making, listing, changing, starting, stopping, deleting VMs, and waiting for them.
struct VMRoutes: Sendable {
    /// How long a request may wait.
    private static let longestWait = Duration.seconds(600)
    /// How long a request waits when it does not say.
    private static let standardWait = Duration.seconds(30)

    /// What the routes work with.
    let services: APIServices

    private var lookup: VMLookup { VMLookup(database: services.database) }

    /// The routes of this part.
    var routes: [APIRoute] {
        [
            APIRoute(.post, "/v1/vms", .scope(.vmWrite), takesBody: true, creates: true, create),
            APIRoute(.get, "/v1/vms", .scope(.vmRead), list),
            APIRoute(.get, "/v1/vms/{vm}", .scope(.vmRead), show),
            APIRoute(.patch, "/v1/vms/{vm}", .scope(.vmWrite), takesBody: true, patch),
            APIRoute(.delete, "/v1/vms/{vm}", .scope(.vmWrite), delete),
            APIRoute(.post, "/v1/vms/{vm}/start", .scope(.vmWrite), start),
            APIRoute(.post, "/v1/vms/{vm}/stop", .scope(.vmWrite), takesBody: true, stop),
            APIRoute(.post, "/v1/vms/{vm}/restart", .scope(.vmWrite), takesBody: true, restart),
            APIRoute(.post, "/v1/vms/{vm}/pause", .scope(.vmWrite), pause),
            APIRoute(.post, "/v1/vms/{vm}/resume", .scope(.vmWrite), resume),
            APIRoute(.get, "/v1/vms/{vm}/wait", .scope(.vmRead), wait),
        ]
    }

    @Sendable private func create(_ call: APICall) async throws -> APIAnswer {
        let (target, timeout) = try call.query { query throws(APIProblem) in
            (
                try query.choice("wait", of: CreateWait.self),
                try query.duration("timeout", upTo: Self.longestWait) ?? Self.standardWait
            )
        }
        if call.principal?.boundVM != nil { throw APIProblem(.forbidden, "The token is bound to one VM.") }
        let request = try CreateVMRequest(call.body, limits: services.vmLimits)
        let created = try await services.vms.create(request)
        var vm = created.record.virtualMachine
        if let target {
            // The VM exists now, whatever becomes of the waiting: the answer is 201 in any case.
            let answer = try? await services.vms.wait(for: target.condition, of: vm.id.description, timeout: timeout)
            vm = answer?.vm ?? vm
        }
        for (kind, secret) in created.madeSecrets { vm.networkInterface?.show(secret, of: kind) }
        return try APIAnswer(.created, json: vm.shown(to: call), headers: [.location: "/v1/vms/\(vm.id)"])
            .tagged(vm.entityTag)
    }

    @Sendable private func list(_ call: APICall) async throws -> APIAnswer {
        let (filter, after, limit) = try call.query { query throws(APIProblem) in
            let filter = VMFilter(
                state: try query.choice("state"),
                network: try query.choice("network"),
                name: try query.text("name"),
                labels: try query.labels()
            )
            return (filter, try query.cursor { VMID($0) }, try query.limit())
        }
        let found: [VMRecord]
        if let bound = call.principal?.boundVM {
            let record = try await services.database.vm(bound)
            found = [record].compactMap { $0 }.filter { $0.deletedAt == nil && filter.matches($0) }
        } else {
            found = try await services.database.vms(matching: filter, after: after, limit: limit + 1)
        }
        let items = found.prefix(limit).map { $0.virtualMachine.shown(to: call) }
        let next = found.count > limit ? items.last.map { Cursor.text($0.id.description) } : nil
        return try APIAnswer(json: Page(items: Array(items), nextCursor: next)).taggedByContent()
    }

    @Sendable private func show(_ call: APICall) async throws -> APIAnswer {
        try call.noQuery()
        let vm = try await lookup.record(call, includingDeleted: true).virtualMachine
        return try APIAnswer(json: vm.shown(to: call)).tagged(vm.entityTag)
    }

    @Sendable private func patch(_ call: APICall) async throws -> APIAnswer {
        try call.noQuery()
        return try await lookup.edit(VMPatch(call.body), call, services.vms)
    }

    @Sendable private func delete(_ call: APICall) async throws -> APIAnswer {
        let isForced = try call.query { query throws(APIProblem) in try query.bool("force") ?? false }
        let transition = try await perform(.delete(grace: isForced ? nil : services.stopTimeout), call)
        return try answer(.accepted, transition, call)
    }

    @Sendable private func start(_ call: APICall) async throws -> APIAnswer {
        try call.noQuery()
        return try answer(nil, try await perform(.start, call), call)
    }

    @Sendable private func stop(_ call: APICall) async throws -> APIAnswer {
        try call.noQuery()
        return try answer(nil, try await perform(.stop(grace: try grace(call)), call), call)
    }

    @Sendable private func restart(_ call: APICall) async throws -> APIAnswer {
        try call.noQuery()
        return try answer(nil, try await perform(.restart(grace: try grace(call)), call), call)
    }

    @Sendable private func pause(_ call: APICall) async throws -> APIAnswer {
        try call.noQuery()
        return try answer(nil, try await perform(.pause, call), call)
    }

    @Sendable private func resume(_ call: APICall) async throws -> APIAnswer {
        try call.noQuery()
        return try answer(nil, try await perform(.resume, call), call)
    }

    /// How long the guest may take; nil powers it off at once.
    private func grace(_ call: APICall) throws -> Duration? {
        let request = try StopRequest(call.body)
        return request.isForced ? nil : request.timeout ?? services.stopTimeout
    }

    private func perform(_ request: LifecycleRequest, _ call: APICall) async throws -> VMDriver.Transition {
        let (id, generation) = try await lookup.target(call)
        return try await services.vms.perform(request, on: id, expecting: generation)
    }

    // What changes nothing is done already: 200. What changes something is only begun: 202.
    private func answer(
        _ status: HTTPResponse.Status?,
        _ transition: VMDriver.Transition,
        _ call: APICall
    ) throws -> APIAnswer {
        let vm = transition.record.virtualMachine
        return try APIAnswer(status ?? (transition.changed ? .accepted : .ok), json: vm.shown(to: call)).tagged(
            vm.entityTag
        )
    }

    @Sendable private func wait(_ call: APICall) async throws -> APIAnswer {
        let (condition, timeout) = try call.query { query throws(APIProblem) in
            let condition = VMCondition(
                state: try query.choice("state"),
                network: try query.choice("network"),
                isAgentReady: try query.choice("agent", of: AgentWait.self) != nil
            )
            guard condition != VMCondition() else {
                throw APIProblem(.invalidParameter, "Name at least one of state, network and agent.")
            }
            return (condition, try query.duration("timeout", upTo: Self.longestWait) ?? Self.standardWait)
        }
        let record = try await lookup.record(call)
        var answer = WaitAnswer(reached: false, vm: record.virtualMachine)
        // A VM that was made without a network never gets one.
        if condition.network == nil || record.spec.networkInterface != nil {
            answer = try await services.vms.wait(for: condition, of: record.id.description, timeout: timeout)
        }
        answer.vm = answer.vm?.shown(to: call)
        return try APIAnswer(json: answer)
    }
}

/// What `?wait=` of a create can hold the answer for.
private enum CreateWait: String, CaseIterable {
    case running, agent, network, login

    var condition: VMCondition {
        switch self {
        case .running: VMCondition(state: .running)
        case .agent: VMCondition(isAgentReady: true)
        case .network: VMCondition(network: .running)
        case .login: VMCondition(isLoginSettled: true)
        }
    }
}

private enum AgentWait: String, CaseIterable {
    case ready
}

/// Where a list goes on: opaque to clients.
enum Cursor {
    static func text(_ position: String) -> String {
        Data(position.utf8).base64EncodedString().replacing("+", with: "-").replacing("/", with: "_")
            .replacing("=", with: "")
    }

    static func position(_ text: String) -> String? {
        let base64 = text.replacing("-", with: "+").replacing("_", with: "/")
        let padding = String(repeating: "=", count: (4 - base64.utf8.count % 4) % 4)
        return Data(base64Encoded: base64 + padding).flatMap { String(validating: $0, as: UTF8.self) }
    }
}

extension QueryReader {
    /// How many items a page may have.
    mutating func limit() throws(APIProblem) -> Int {
        let limits = Page<VirtualMachine>.limits
        let number = try integer("limit", in: Int64(limits.lowerBound)...Int64(limits.upperBound))
        return number.map { Int($0) } ?? Page<VirtualMachine>.defaultLimit
    }

    /// Where the page before ended.
    mutating func cursor<Position>(_ parse: (String) -> Position?) throws(APIProblem) -> Position? {
        try parsed("cursor", "the nextCursor of a page before") { Cursor.position($0).flatMap(parse) }
    }

    /// `label=key=value`, any number of times.
    mutating func labels() throws(APIProblem) -> [String: String] {
        var labels: [String: String] = [:]
        for text in all("label") {
            guard let equals = text.firstIndex(of: "=") else {
                throw APIProblem(.invalidParameter, "The parameter label must be key=value.")
            }
            labels[String(text[..<equals])] = String(text[text.index(after: equals)...])
        }
        return labels
    }
}
