import NetWire
import Tailcfg

/// A set of IP protocol numbers.
struct ProtocolSet: Sendable {
    // 256 bits in four words, so that a rule asks with one shift.
    private var words = InlineArray<4, UInt64>(repeating: 0)

    /// The set of the numbers; those outside 0…255 are left out.
    init(_ numbers: some Sequence<Int>) {
        for number in numbers where (0...255).contains(number) { words[number >> 6] |= 1 << UInt64(number & 63) }
    }

    /// What a rule without protocols means: TCP, UDP, ICMP and ICMPv6, and nothing else.
    static let standard = ProtocolSet([6, 17, 1, 58])

    /// Whether the number is in the set.
    func contains(_ ipProtocol: IPProtocol) -> Bool {
        words[Int(ipProtocol.rawValue >> 6)] >> UInt64(ipProtocol.rawValue & 63) & 1 != 0
    }
}

/// The rules of one address family, packed so that a question walks three arrays and allocates nothing.
struct FilterRuleTable<Number: FixedWidthInteger & UnsignedInteger & Sendable>: Sendable {
    /// A destination: addresses and ports.
    struct Destination: Sendable {
        /// Which addresses.
        let addresses: AddressRange<Number>
        /// Which ports, inclusive.
        let ports: PortRange
    }

    private struct Rule: Sendable {
        let protocols: ProtocolSet
        let sources: Range<Int>
        let holders: Range<Int>
        let destinations: Range<Int>
    }

    private var rules: [Rule] = []
    private var sources = SortedRanges<Number>()
    private var destinations: [Destination] = []

    /// Adds a rule; `holders` are the addresses of the peers whose capabilities it names.
    mutating func append(
        protocols: ProtocolSet,
        sources: [AddressRange<Number>],
        holders: [AddressRange<Number>],
        destinations: [Destination]
    ) {
        // A rule without a destination in this family must not count as one of its capability rules, see below.
        guard !destinations.isEmpty, !sources.isEmpty || !holders.isEmpty else { return }
        let start = self.destinations.count
        self.destinations += destinations
        rules.append(
            Rule(
                protocols: protocols,
                sources: self.sources.append(sources),
                holders: self.sources.append(holders),
                destinations: start..<self.destinations.count
            )
        )
    }

    /// Whether a rule allows the protocol from the source to the destination and its port.
    func permits(_ ipProtocol: IPProtocol, from source: Number, to destination: Number, port: UInt16) -> Bool {
        for rule in rules where rule.protocols.contains(ipProtocol) {
            guard sources.contains(source, in: rule.sources) || sources.contains(source, in: rule.holders) else {
                continue
            }
            for index in rule.destinations where destinations[index].addresses.contains(destination) {
                let ports = destinations[index].ports
                if ports.first <= port, port <= ports.last { return true }
            }
        }
        return false
    }

    /// Whether a rule of any protocol and port connects the two, which is what opens ICMP.
    ///
    /// As in Tailscale's client, a source that is named by its capability may ping every destination.
    func permitsAnything(from source: Number, to destination: Number) -> Bool {
        for rule in rules {
            if sources.contains(source, in: rule.holders) { return true }
            guard sources.contains(source, in: rule.sources) else { continue }
            for index in rule.destinations where destinations[index].addresses.contains(destination) { return true }
        }
        return false
    }

    /// Whether a rule allows the protocol on all ports from the source to the destination, for protocols without ports.
    ///
    /// As in Tailscale's client, sources that are named by capability do not count.
    func permitsEveryPort(_ ipProtocol: IPProtocol, from source: Number, to destination: Number) -> Bool {
        for rule in rules where rule.protocols.contains(ipProtocol) {
            guard sources.contains(source, in: rule.sources) else { continue }
            for index in rule.destinations where destinations[index].addresses.contains(destination) {
                if destinations[index].ports.first == 0, destinations[index].ports.last == .max { return true }
            }
        }
        return false
    }
}
