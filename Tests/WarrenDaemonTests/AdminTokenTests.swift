import FoundationEssentials
import Glibc
import Logging
import Store
import Testing
import WarrenModel

@testable import WarrenDaemon

@Suite("AdminToken", .timeLimit(.minutes(1)))
struct AdminTokenTests {
    private static let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    private func withDatabase(_ body: (WarrenDatabase, String) async throws -> Void) async throws {
        var template = Array("/tmp/warren-test.XXXXXX".utf8CString)
        guard let made = mkdtemp(&template) else { throw CocoaError(.fileWriteUnknown) }
        let directory = String(cString: made)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let database = try WarrenDatabase(stateDirectory: directory, logger: Self.logger)
        try await body(database, directory + "/admin.token")
        try database.close()
    }

    private func ensure(_ path: String, _ database: WarrenDatabase) async throws -> String {
        try await AdminToken.ensure(at: path, in: database, now: .epoch, logger: Self.logger)
        return try #require(PrivateFile.line(of: path))
    }

    @Test func `the first start writes a token for its owner alone, and later ones keep it`() async throws {
        try await withDatabase { database, path in
            let first = try await ensure(path, database)
            #expect(try await database.token(matching: first, now: .epoch)?.scopes == [.admin])
            var status = stat()
            #expect(stat(path, &status) == 0 && status.st_mode & 0o777 == 0o600)
            #expect(try await ensure(path, database) == first)
        }
    }

    @Test func `removing the file replaces the token`() async throws {
        try await withDatabase { database, path in
            let first = try await ensure(path, database)
            #expect(unlink(path) == 0)
            let second = try await ensure(path, database)
            #expect(second != first)
            #expect(try await database.token(matching: first, now: .epoch) == nil)
        }
    }

    @Test func `a file with a token that nobody knows is replaced`() async throws {
        try await withDatabase { database, path in
            try PrivateFile.write("wrn_of_another_database\n", to: path)
            let token = try await ensure(path, database)
            #expect(try await database.token(matching: token, now: .epoch) != nil)
        }
    }
}
