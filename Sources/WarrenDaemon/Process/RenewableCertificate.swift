import FoundationEssentials
import NIOSSL
import Synchronization

/// Certificate files that somebody renews while the daemon runs.
final class RenewableCertificate: Sendable {
    private let section: TLSSection
    private let seen: Mutex<Date?>

    /// Watches the files of a section.
    init(_ section: TLSSection) {
        self.section = section
        seen = Mutex(Self.changeDate(of: section))
    }

    /// What the files hold when they changed since they were last read; nil also while they do not fit each other.
    func renewed() -> TLSConfiguration? {
        let date = Self.changeDate(of: section)
        guard date != seen.withLock({ $0 }) else { return nil }
        // Whoever renews writes one file after the other: the next look finds both.
        guard let configuration = try? ServerCertificate.load(section),
            (try? NIOSSLContext(configuration: configuration)) != nil
        else { return nil }
        seen.withLock { $0 = date }
        return configuration
    }

    /// When the younger of both files was written.
    private static func changeDate(of section: TLSSection) -> Date? {
        [section.certificate, section.privateKey].compactMap { path in
            // A file that is away for a moment has no date.
            path.flatMap { try? FileManager.default.attributesOfItem(atPath: $0)[.modificationDate] as? Date }
        }.max()
    }
}
