import Glibc

/// The two outputs of a command.
enum Terminal {
    /// Writes a line to standard output.
    static func say(_ text: String) {
        write(Array(text.utf8), to: STDOUT_FILENO)
        if !text.hasSuffix("\n") { write([10], to: STDOUT_FILENO) }
    }

    /// Writes a line to standard error.
    static func complain(_ text: String) {
        write(Array(text.utf8), to: STDERR_FILENO)
        if !text.hasSuffix("\n") { write([10], to: STDERR_FILENO) }
    }

    /// Writes octets as they are to a descriptor, as far as the other side takes them.
    static func write(_ bytes: [UInt8], to descriptor: Int32) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return }
            rest = rest.dropFirst(count)
        }
    }

    /// Writes a JSON answer exactly, ending its line.
    static func json(_ bytes: [UInt8]) {
        write(bytes, to: STDOUT_FILENO)
        if bytes.last != 10 { write([10], to: STDOUT_FILENO) }
    }
}
