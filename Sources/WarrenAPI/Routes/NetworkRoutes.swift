import HTTPTypes
import Store
import VirtualMachines
import WarrenModel

/// `/v1/vms/{vm}/network`: how a VM's node is, what it is to do, and its login.
struct NetworkRoutes: Sendable {
    /// What the routes work with.
    let services: APIServices

    private var lookup: VMLookup { VMLookup(database: services.database) }

    /// The routes of this part.
    var routes: [APIRoute] {
        let network = "/v1/vms/{vm}/network"
        return [
            APIRoute(.get, network, .scope(.vmRead), show),
            APIRoute(.patch, network, .scope(.networkWrite), takesBody: true, patch),
            APIRoute(.post, network + "/login", .scope(.networkWrite), takesBody: true, creates: true, logIn),
            APIRoute(.post, network + "/logout", .scope(.networkWrite), logOut),
            APIRoute(.post, network + "/ping", .scope(.networkWrite), takesBody: true, ping),
        ]
    }

    @Sendable private func show(_ call: APICall) async throws -> APIAnswer {
        try call.noQuery()
        let record = try await lookup.record(call)
        var detail = try await services.vms.network(of: record.id.description)
        if !call.seesLoginURLs { detail.status = detail.status.masked }
        return try APIAnswer(json: detail)
    }

    @Sendable private func patch(_ call: APICall) async throws -> APIAnswer {
        try call.noQuery()
        let record = try await lookup.record(call)
        guard record.spec.networkInterface != nil else { throw VMError.noNetwork("\(record.spec.name)") }
        return try await lookup.edit(VMPatch(networkInterface: call.body), call, services.vms)
    }

    @Sendable private func logIn(_ call: APICall) async throws -> APIAnswer {
        try call.noQuery()
        let request = try NetworkLoginRequest(call.body)
        let (id, _) = try await lookup.target(call)
        return try begun(try await services.vms.logIn(request, of: id), call)
    }

    @Sendable private func logOut(_ call: APICall) async throws -> APIAnswer {
        try call.noQuery()
        let (id, _) = try await lookup.target(call)
        return try begun(try await services.vms.logOut(of: id), call)
    }

    // What the node makes of it is told by the VM's `network` and by events.
    private func begun(_ record: VMRecord, _ call: APICall) throws -> APIAnswer {
        let vm = record.virtualMachine
        return try APIAnswer(.accepted, json: vm.shown(to: call)).tagged(vm.entityTag)
    }

    @Sendable private func ping(_ call: APICall) async throws -> APIAnswer {
        try call.noQuery()
        let request = try NetworkPingRequest(call.body)
        let record = try await lookup.record(call)
        return try APIAnswer(json: try await services.vms.ping(request, from: record.id.description))
    }
}

extension VMLookup {
    /// Applies a merge patch to the VM that the path names, and answers with the VM after it.
    func edit(_ patch: VMPatch, _ call: APICall, _ vms: any VMService) async throws -> APIAnswer {
        let (id, generation) = try await target(call)
        let edited = try await vms.edit(patch, of: id, expecting: generation)
        var vm = edited.record.virtualMachine
        for (kind, secret) in edited.madeSecrets { vm.networkInterface?.show(secret, of: kind) }
        return try APIAnswer(json: vm.shown(to: call)).tagged(vm.entityTag)
    }
}
