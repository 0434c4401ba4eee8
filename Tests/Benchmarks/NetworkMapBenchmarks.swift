import AllocationCounter
import FoundationEssentials
import NIOEmbedded
import NetTypes
import Tailcfg
import Tailnet

private let peerCount = 10_000
private let mebibyte = 1_048_576.0

/// What a big tailnet costs a node: to read, to keep, and to follow.
let networkMapBenchmarks: [Benchmark] = [
    Benchmark(name: "netmap") {
        let message = BigTailnet(peerCount: peerCount).firstMessage()
        return [
            Measurement(name: "netmap_10k_json_mib", value: Double(message.count) / mebibyte, unit: "MiB"),
            Measurement(name: "netmap_10k_decode_ms", value: decodingTime(message) * 1000, unit: "ms"),
            Measurement(name: "netmap_10k_decode_aim", value: 400, unit: "ms", digits: 0),
            Measurement(name: "netmap_10k_retained_mib", value: retained(message), unit: "MiB", digits: 2),
            Measurement(name: "netmap_10k_retained_aim", value: 12, unit: "MiB", digits: 0),
        ] + following(message)
    },
    Benchmark(name: "node_rss") {
        [
            Measurement(name: "node_rss_kib", value: residentPerNode(), unit: "KiB"),
            Measurement(name: "node_rss_aim", value: 256, unit: "KiB", digits: 0),
        ]
    },
]

/// From the octets to the map.
private func decodingTime(_ message: Data) -> Double {
    median(
        (0..<5).map { _ in
            var reducer = NetworkMapReducer()
            let time = seconds { _ = try? reducer.apply(BigTailnet.decode(message), now: BigTailnet.now) }
            precondition(reducer.map?.peers.count == peerCount)
            return time
        }
    )
}

/// What the heap holds more once the map is read and the message is gone.
private func retained(_ message: Data) -> Double {
    var reducer = NetworkMapReducer()
    let before = allocation_counter_bytes_in_use()
    _ = try? reducer.apply(BigTailnet.decode(message), now: BigTailnet.now)
    let after = allocation_counter_bytes_in_use()
    precondition(reducer.map?.peers.count == peerCount)
    return (Double(after) - Double(before)) / mebibyte
}

/// What a data plane adds to the map, and how long a change of one peer takes from its message to the packets.
private func following(_ message: Data) -> [Measurement] {
    let loop = EmbeddedEventLoop()
    let plane = BigTailnet.plane(on: loop)
    defer { plane.stop() }
    let first = BigTailnet.decode(message)
    let before = allocation_counter_bytes_in_use()
    let whole = seconds { receive(first, plane) }
    let after = allocation_counter_bytes_in_use()
    precondition(plane.peerCount == peerCount)
    let node = first.peers[4711]
    let patch = median(
        samples { place in
            var change = PeerChange(nodeID: node.id)
            change.endpoints = [AddressPort(.v4(IPv4Address(rawValue: 0x0B00_0000 + UInt32(place))), port: 41641)]
            var response = MapResponse()
            response.peersChangedPatch = [change]
            return response
        } receive: {
            receive($0, plane)
        }
    )
    let changed = median(
        samples { place in
            var next = node
            next.homeDERP = DERPRegionID(rawValue: Int64(place % 20 + 1))
            next.allowedIPs = node.addresses + [IPPrefix(.v4(IPv4Address(rawValue: 0x0C00_0000 + UInt32(place))))]
            var response = MapResponse()
            response.peersChanged = [next]
            return response
        } receive: {
            receive($0, plane)
        }
    )
    return [
        Measurement(name: "netmap_delta_us", value: max(patch, changed) * 1e6, unit: "us"),
        Measurement(name: "netmap_delta_patch_us", value: patch * 1e6, unit: "us"),
        Measurement(name: "netmap_delta_changed_us", value: changed * 1e6, unit: "us"),
        Measurement(name: "netmap_delta_aim", value: 100, unit: "us", digits: 0),
        Measurement(name: "netmap_10k_apply_ms", value: whole * 1000, unit: "ms"),
        Measurement(
            name: "netmap_10k_node_mib",
            value: (Double(after) - Double(before)) / mebibyte,
            unit: "MiB",
            digits: 2
        ),
    ]
}

private func samples(
    _ message: (Int) -> MapResponse,
    receive: (MapResponse) -> Void
) -> [Double] {
    (0..<300).map { place in
        let response = message(place)
        return seconds { receive(response) }
    }
}

private func receive(_ response: MapResponse, _ plane: DetachedDataPlane) {
    do {
        try plane.receive(response, now: BigTailnet.now)
    } catch {
        preconditionFailure("the map was not taken: \(error)")
    }
}

/// What each of many idle nodes adds to the resident set, with a hundred peers in its map.
private func residentPerNode() -> Double {
    let message = BigTailnet(peerCount: 100).firstMessage()
    let loop = EmbeddedEventLoop()
    let count = 64
    var planes: [DetachedDataPlane] = []
    func add() {
        let plane = BigTailnet.plane(on: loop)
        receive(BigTailnet.decode(message), plane)
        planes.append(plane)
    }
    // The first ones bring the code in.
    for _ in 0..<8 { add() }
    let before = allocation_counter_resident_bytes()
    for _ in 0..<count { add() }
    let after = allocation_counter_resident_bytes()
    for plane in planes { plane.stop() }
    return (Double(after) - Double(before)) / 1024 / Double(count)
}
