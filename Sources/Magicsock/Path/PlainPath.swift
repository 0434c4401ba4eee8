package import NetTypes

/// The ways to a peer that speaks WireGuard alone: no disco tells which one works, so the first answer does.
///
/// A handshake goes to every endpoint while none is proven. The peer answers the copy that arrives first, and so over
/// the fastest way; that one is used until a handshake stays unanswered.
package struct PlainPath: Sendable {
    /// Where the peer may be, without duplicates.
    package private(set) var endpoints: [AddressPort] = []
    /// Where datagrams go; nil without any endpoint.
    package private(set) var current: AddressPort?
    /// Whether something authentic came from `current`.
    package private(set) var isProven = false
    private var awaitsAnswer = false

    /// A peer without endpoints.
    package init() {}

    /// Takes the endpoints that control names now.
    package mutating func setEndpoints(_ addresses: [AddressPort]) {
        var seen: Set<AddressPort> = []
        let usable = addresses.filter { PeerEndpoint.isUsable($0) && seen.insert($0).inserted }
        endpoints = Array(usable.prefix(MagicsockConstants.maximumPlainEndpoints))
        if let current, endpoints.contains(current) { return }
        current = endpoints.first
        isProven = false
    }

    /// Notes that a handshake begins and gives the endpoints that it goes to.
    package mutating func beginHandshake() -> [AddressPort] {
        if awaitsAnswer { isProven = false }
        awaitsAnswer = true
        return isProven ? current.map { [$0] } ?? [] : endpoints
    }

    /// Notes something authentic of the peer; an address that control did not name is no way to it.
    package mutating func receive(from address: AddressPort?) {
        awaitsAnswer = false
        guard let address, endpoints.contains(address) else { return }
        current = address
        isProven = true
    }
}
