import GRDB

extension StoreError {
    /// The cause behind an error that came out of the database library.
    init(_ error: any Error, path: String) {
        switch error {
        case let error as StoreError: self = error
        case is CancellationError: self = .cancelled
        case let error as DatabaseError:
            switch error.resultCode {
            case .SQLITE_FULL: self = .diskFull
            case .SQLITE_CORRUPT: self = .corrupt(path: path)
            case .SQLITE_NOTADB: self = .foreignFile(path: path)
            case .SQLITE_CANTOPEN, .SQLITE_READONLY, .SQLITE_PERM: self = .unwritable(path: path)
            case .SQLITE_BUSY, .SQLITE_LOCKED: self = .locked
            case .SQLITE_INTERRUPT, .SQLITE_ABORT: self = .cancelled
            default:
                // The statement's arguments are left out: they may be what the statement was to protect.
                self = .failed(code: error.resultCode.rawValue, message: error.message ?? "")
            }
        default: self = .failed(code: -1, message: "\(type(of: error))")
        }
    }
}
