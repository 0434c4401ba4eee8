import Glibc
import Logging
import Store
import WarrenModel

/// The token of the one who administers this daemon, in a file that nobody else can read.
enum AdminToken {
    private static let name = "admin"

    /// Keeps the token of the file when the database knows it, else makes a new one and writes it.
    ///
    /// Deleting the file and starting again is how a token is replaced: the old one is forgotten then.
    static func ensure(at path: String, in database: WarrenDatabase, now: Timestamp, logger: Logger) async throws {
        if let text = PrivateFile.line(of: path), try await database.token(matching: text, now: now) != nil { return }
        for old in try await database.tokens() where old.name == name && old.scopes == [.admin] {
            _ = try await database.deleteToken(old.id)
        }
        let made = try await database.createToken(name: name, scopes: [.admin], now: now)
        try PrivateFile.write(made.token.reveal() + "\n", to: path)
        logger.notice("admin token written", metadata: ["path": "\(path)"])
    }
}
