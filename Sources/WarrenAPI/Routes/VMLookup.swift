import HTTPTypes
import Store
import VirtualMachines
import WarrenModel

/// Finds the VM that a path names by id or name.
struct VMLookup: Sendable {
    /// Where records are.
    let database: WarrenDatabase

    /// The record behind `{vm}`; a deleted VM only by its id, and only when that is asked for.
    func record(_ call: APICall, includingDeleted: Bool = false) async throws -> VMRecord {
        let name = call.parameter("vm")
        let found =
            if let id = VMID(name) { try await database.vm(id) } else { try await database.vm(named: name) }
        guard let record = found, includingDeleted || record.deletedAt == nil else {
            throw VMError.notFound(String(name.prefix(64)))
        }
        if let bound = call.principal?.boundVM, bound != record.id {
            throw APIProblem(.forbidden, "The token is bound to another VM.")
        }
        return record
    }

    /// What `{vm}` names, for a change: its id, and the generation that `If-Match` asks its spec to have.
    func target(_ call: APICall) async throws -> (id: String, generation: Int64?) {
        let record = try await record(call)
        let id = record.id.description
        guard let field = call.head.headerFields[.ifMatch] else { return (id, nil) }
        guard EntityTag.specMatches(field, generation: record.status.generation) else { throw VMError.changedMeanwhile }
        return (id, record.status.generation)
    }
}

extension VirtualMachine {
    /// The VM as one with these rights may see it.
    func shown(to call: APICall) -> VirtualMachine {
        guard !call.seesLoginURLs else { return self }
        var copy = self
        copy.network = network?.masked
        return copy
    }
}
