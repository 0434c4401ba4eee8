import FoundationEssentials
import NetTypes

/// The resolvers that this host itself asks (resolv.conf(5)).
enum HostResolvers {
    // As many as the C library looks at.
    private static let limit = 3

    /// Those of the file; none when it cannot be read.
    static func read(from path: String = "/etc/resolv.conf") -> [AddressPort] {
        // A host without the file has no resolver.
        guard let content = try? Data(contentsOf: URL(filePath: path)) else { return [] }
        return parse(String(decoding: content, as: UTF8.self))
    }

    /// Those of the file's text.
    static func parse(_ text: String) -> [AddressPort] {
        let addresses = text.split(whereSeparator: \.isNewline).compactMap { line -> IPAddress? in
            let words = line.split { $0 == " " || $0 == "\t" }
            guard words.count >= 2, words[0] == "nameserver" else { return nil }
            return IPAddress(words[1])
        }
        return addresses.prefix(limit).map { AddressPort($0, port: 53) }
    }
}
