import Glibc
import WarrenCrypto

/// Seals what the database must not hold in clear, under the key in `secret.key`.
package struct SecretVault: Sendable {
    private let box: SecretBox
    private let path: String

    /// Reads the key file, or makes one of mode 0600 when `mayCreate` says that nothing was sealed yet.
    ///
    /// - Throws: `secretKeyMissing`, `secretKeyInvalid`, `secretKeyExposed`, `unwritable`, `diskFull`.
    package init(path: String, mayCreate: Bool) throws(StoreError) {
        self.path = path
        let key = try Self.load(path: path, mayCreate: mayCreate)
        guard let box = SecretBox(key: SecretBytes(copying: key.span)) else { throw .secretKeyInvalid(path: path) }
        self.box = box
    }

    /// Seals a secret for one place; it opens nowhere else.
    package func seal(_ secret: [UInt8], for place: String) throws(StoreError) -> [UInt8] {
        do {
            return try box.seal(secret.span, associatedData: Array(place.utf8).span)
        } catch {
            throw .failed(code: -1, message: "sealing failed")
        }
    }

    /// Opens what was sealed for the same place.
    ///
    /// - Throws: `secretKeyInvalid` when it was sealed under another key or was changed.
    package func open(_ sealed: [UInt8], for place: String) throws(StoreError) -> [UInt8] {
        do {
            return try box.open(sealed.span, associatedData: Array(place.utf8).span).bytes
        } catch {
            throw .secretKeyInvalid(path: path)
        }
    }

    private static func load(path: String, mayCreate: Bool) throws(StoreError) -> [UInt8] {
        let descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        if descriptor < 0 {
            guard errno == ENOENT else { throw .unwritable(path: path) }
            guard mayCreate else { throw .secretKeyMissing(path: path) }
            return try create(path: path)
        }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw .unwritable(path: path) }
        guard status.st_mode & 0o077 == 0 else { throw .secretKeyExposed(path: path) }
        var key = [UInt8](repeating: 0, count: SecretBox.keyByteCount + 1)
        let count = read(descriptor, &key, key.count)
        guard count == SecretBox.keyByteCount else { throw .secretKeyInvalid(path: path) }
        return Array(key.prefix(count))
    }

    // Written beside and linked into place, so that a crash leaves either no key or a whole one.
    private static func create(path: String) throws(StoreError) -> [UInt8] {
        let key = RandomBytes.make(count: SecretBox.keyByteCount)
        let draft = path + ".new"
        unlink(draft)
        let descriptor = Glibc.open(draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw .unwritable(path: path) }
        defer { close(descriptor) }
        guard write(descriptor, key, key.count) == key.count, fsync(descriptor) == 0, rename(draft, path) == 0 else {
            let cause = errno
            unlink(draft)
            throw cause == ENOSPC || cause == EDQUOT ? .diskFull : .unwritable(path: path)
        }
        return key
    }
}
