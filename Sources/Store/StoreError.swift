package import WarrenModel

/// Why the store could not do what it was asked; nothing was changed.
package enum StoreError: Error, Equatable, Sendable {
    /// The database was written by a later version of this program.
    case newerSchema(found: Int, supported: Int)
    /// The file is not a database of this program.
    case foreignFile(path: String)
    /// The database is damaged.
    case corrupt(path: String)
    /// There is no room for the change.
    case diskFull
    /// The file or its directory cannot be opened or written.
    case unwritable(path: String)
    /// Another process holds the database.
    case locked
    /// `secret.key` is gone while the database holds secrets sealed under it.
    case secretKeyMissing(path: String)
    /// `secret.key` is not a key, or not the one under which the database was sealed.
    case secretKeyInvalid(path: String)
    /// `secret.key` can be read by others; mode 0600 is needed.
    case secretKeyExposed(path: String)
    /// A VM that is not deleted has this name.
    case nameTaken(VMName)
    /// There is no such row.
    case notFound
    /// Events after this sequence number were trimmed away already; what is kept begins at `oldest`.
    case eventsTrimmed(oldest: Int64)
    /// The task was cancelled before the change was made.
    case cancelled
    /// Anything else that SQLite reports.
    case failed(code: Int32, message: String)
}
