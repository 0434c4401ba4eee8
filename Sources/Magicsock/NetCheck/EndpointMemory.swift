import NetTypes

/// The public endpoints of the last minutes: a NAT keeps a mapping longer than one report, and peers may still use it.
struct EndpointMemory: Sendable {
    private var seen: [AddressPort: (type: PublishedEndpoint, at: MonotonicTime)] = [:]

    /// Notes what a report found, and gives what earlier ones did that is not too old, newest first.
    mutating func remember(_ endpoints: [PublishedEndpoint], at now: MonotonicTime) -> [PublishedEndpoint] {
        for endpoint in endpoints { seen[endpoint.address] = (endpoint, now) }
        var kept: [IPAddress: Int] = [:]
        let newestFirst = seen.values.sorted {
            ($1.at, $0.type.address.port) < ($0.at, $1.type.address.port)
        }
        var result: [PublishedEndpoint] = []
        for (endpoint, at) in newestFirst {
            let count = kept[endpoint.address.address, default: 0]
            // A NAT that hands out a new port every time would have the list grow without end.
            guard now - at <= MagicsockConstants.endpointMemory, count < MagicsockConstants.endpointsPerAddress else {
                seen[endpoint.address] = nil
                continue
            }
            kept[endpoint.address.address] = count + 1
            result.append(endpoint)
        }
        return result
    }
}
