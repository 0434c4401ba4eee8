/// Why the packet filter did not let a packet pass.
package enum FilterDropReason: UInt8, CaseIterable, Sendable {
    /// Shorter than the smallest IP header.
    case tooShort
    /// Not IP, cut off, or a fragment that hides or overwrites headers.
    case unparsable
    /// For a multicast group.
    case multicast
    /// For a link-local address other than the metadata service of clouds.
    case linkLocal
    /// For an address that is neither ours nor routed by us.
    case notLocal
    /// No rule allows it.
    case noRule
    /// No rule was asked, because the shields are up.
    case shieldsUp
}

/// What the packet filter decided.
package enum FilterVerdict: Equatable, Sendable {
    /// Pass it on.
    case accept
    /// Forget it.
    case drop(FilterDropReason)
}

/// How often which verdict was given in one direction.
package struct FilterCounts: Sendable {
    /// Packets let through.
    package private(set) var accepted: UInt64 = 0
    // One counter for each reason, inline: counting must not allocate, not even after someone took a copy.
    private var drops = InlineArray<7, UInt64>(repeating: 0)

    /// Packets dropped for `reason`.
    package subscript(reason: FilterDropReason) -> UInt64 { drops[Int(reason.rawValue)] }

    /// Counts one verdict.
    mutating func note(_ verdict: FilterVerdict) {
        switch verdict {
        case .accept: accepted &+= 1
        case .drop(let reason): drops[Int(reason.rawValue)] &+= 1
        }
    }
}
