/// The DNS labels of nodes, made from what hosts call themselves.
package enum GivenName {
    private static let maximumByteCount = 63

    /// The label for a host name, without regard to others that exist.
    package static func label(for hostname: String) -> String {
        var name = Substring(hostname.lowercased())
        for suffix in [".localdomain", ".local", ".lan"] where name.hasSuffix(suffix) {
            name = name.dropLast(suffix.count)
            break
        }
        var octets: [UInt8] = []
        for octet in name.utf8 {
            switch octet {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"):
                octets.append(octet)
            case UInt8(ascii: " "), UInt8(ascii: "."), UInt8(ascii: "@"), UInt8(ascii: "_"):
                octets.append(UInt8(ascii: "-"))
            default: continue
            }
        }
        let label = trimmed(octets.drop { $0 == UInt8(ascii: "-") }.prefix(maximumByteCount))
        return label.isEmpty ? "node" : label
    }

    /// The label, or the first of `-1`, `-2`, … that `isTaken` does not know.
    package static func unique(_ label: String, isTaken: (String) -> Bool) -> String {
        guard isTaken(label) else { return label }
        var number = 1
        while true {
            let suffix = "-\(number)"
            let candidate = trimmed(Array(label.utf8).prefix(maximumByteCount - suffix.utf8.count)) + suffix
            if !isTaken(candidate) { return candidate }
            number += 1
        }
    }

    private static func trimmed(_ octets: ArraySlice<UInt8>) -> String {
        var octets = octets
        while octets.last == UInt8(ascii: "-") { octets.removeLast() }
        return String(decoding: octets, as: UTF8.self)
    }
}
