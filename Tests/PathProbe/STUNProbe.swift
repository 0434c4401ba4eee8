import Foundation
import Magicsock
import NIOCore
import NIOPosix
import NetTypes
import Tailcfg
import WarrenCrypto

/// Asks STUN servers of others as a node does, and says what it would tell control.
enum STUNProbe {
    private struct Report: Encodable {
        var stun: [String]
        var hasUDP: Bool
        var mappingVaries: Bool?
    }

    static func run(addresses: [String]) async throws {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let regions = addresses.enumerated().map { place, address in
            let id = DERPRegionID(rawValue: Int64(place + 900))
            var node = DERPNode(name: "\(id)a", regionID: id, hostName: address)
            (node.ipv4, node.ipv6, node.stunOnly) = (address, "none", true)
            return DERPRegion(regionID: id, regionCode: "r\(id)", regionName: "", nodes: [node])
        }
        let map = DERPMap(regions: Dictionary(uniqueKeysWithValues: regions.map { ($0.regionID, $0) }))
        let report = try await loop.flatSubmit { () -> EventLoopFuture<MagicSocketReport> in
            let sink = ReportSink(promise: loop.makePromise())
            let socket = MagicSocket(
                eventLoop: loop,
                nodeKey: NodePrivateKey(),
                configuration: MagicSocketConfiguration(
                    dialPolicy: ProbeConsole.OpenPolicy(),
                    relayDialer: DERPRelayDialer(policy: ProbeConsole.OpenPolicy(), logger: ProbeConsole.logger),
                    logger: ProbeConsole.logger
                )
            )
            let bound = NIOLoopBound(socket, eventLoop: loop)
            socket.start(sink: sink).whenSuccess { bound.value.setDERPMap(map) }
            sink.promise.futureResult.whenComplete { _ in bound.value.close() }
            return sink.promise.futureResult
        }.get()
        try ProbeConsole.answer(
            Report(
                stun: report.endpoints.filter { $0.type == .stun }.map { "\($0.address)" },
                hasUDP: report.netInfo.workingUDP == true,
                mappingVaries: report.netInfo.mappingVariesByDestIP
            )
        )
    }

    private final class ReportSink: MagicSocketSink {
        let promise: EventLoopPromise<MagicSocketReport>
        init(promise: EventLoopPromise<MagicSocketReport>) { self.promise = promise }
        func magicSocketReceived(_ datagram: Span<UInt8>, from source: AddressPort, relayed: MagicPeer?) {}
        func magicSocketReadComplete() {}
        func magicSocketWritabilityChanged() {}
        func magicSocketPathChanged(_ peer: MagicPeer) {}
        func magicSocketReportChanged(_ report: MagicSocketReport) { promise.succeed(report) }
    }
}
