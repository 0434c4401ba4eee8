import Glibc
import NIOCore
import NetTypes

/// What this machine's kernel says about its addresses and routes.
enum LocalNetwork {
    /// The addresses of all interfaces; without a list of them STUN's view remains.
    static func interfaceAddresses() -> [IPAddress] {
        // A machine that lists no devices is one without addresses.
        (try? System.enumerateDevices())?.compactMap { $0.address.flatMap(AddressPort.init)?.address } ?? []
    }

    /// A text that differs when the ways out of this machine do: its addresses and its default routes.
    static func fingerprint() -> [String] {
        let addresses = interfaceAddresses().filter {
            !$0.isLoopback && !$0.isLinkLocal && !TailnetAddresses.contains($0)
        }.map(\.description)
        return Set(addresses).sorted()
            + defaultRoutes(ipv4: read("/proc/net/route"), ipv6: read("/proc/net/ipv6_route"))
    }

    /// The default routes out of the kernel's two tables, without the counters in them.
    static func defaultRoutes(ipv4: String, ipv6: String) -> [String] {
        let first = ipv4.split(separator: "\n").dropFirst().compactMap { line -> String? in
            let fields = line.split(separator: "\t", omittingEmptySubsequences: false)
            guard fields.count > 7, fields[1] == "00000000", fields[7] == "00000000" else { return nil }
            return "default \(fields[0]) \(fields[2])"
        }
        let second = ipv6.split(separator: "\n").compactMap { line -> String? in
            let fields = line.split(separator: " ")
            guard fields.count > 9, fields[0].allSatisfy({ $0 == "0" }), fields[1] == "00", fields[9] != "lo" else {
                return nil
            }
            return "default \(fields[9]) \(fields[4])"
        }
        return Set(first + second).sorted()
    }

    private static func read(_ path: String) -> String {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return "" }
        defer { Glibc.close(descriptor) }
        var octets: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16_384)
        // A router with a full table has megabytes of routes; the default ones come first.
        while octets.count < 1 << 20 {
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            guard count > 0 else { break }
            octets += chunk[..<count]
        }
        return String(decoding: octets, as: UTF8.self)
    }
}
