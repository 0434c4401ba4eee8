import Magicsock
import NetTypes
import NetWire
import Tailcfg
import Testing

@Suite("NetCheck") struct NetCheckTests {
    private let start = MonotonicTime.zero + .seconds(10)
    private let seen = AddressPort(.v4(IPv4Address(203, 0, 113, 9)), port: 77)

    private func target(_ region: DERPRegionID, _ last: UInt8) -> NetCheck.Target {
        NetCheck.Target(region: region, address: AddressPort(.v4(IPv4Address(198, 51, 100, last)), port: 3478))
    }

    @Test func `asks every region, tries three times and ends after three seconds`() {
        var generator = SystemRandomNumberGenerator()
        var check = NetCheck(targets: [target(1, 1), target(2, 2)], isIncremental: false, now: start)
        var now = start
        var sent = 0
        while !check.isFinished {
            sent += check.poll(at: now, using: &generator).count
            if !check.isFinished { now = max(now, check.deadline) }
        }
        #expect(sent == 6)
        #expect(now == start + .seconds(3))
        #expect(check.report.hasAnswers == false)
    }

    @Test func `ends when everybody answered, and measures from the probe that was answered`() throws {
        var generator = SystemRandomNumberGenerator()
        var check = NetCheck(targets: [target(1, 1), target(1, 2)], isIncremental: false, now: start)
        let first = check.poll(at: start, using: &generator)
        #expect(first.map(\.address) == [target(1, 1).address])
        let second = check.poll(at: start + .milliseconds(100), using: &generator)
        #expect(second.map(\.address) == [target(1, 2).address])
        check.receive(try #require(second.first).transaction, seen: seen, at: start + .milliseconds(130))
        #expect(check.isFinished)
        #expect(check.report.latency == [1: .milliseconds(30)])
        #expect(check.report.seenIPv4 == [seen])
        #expect(check.report.mappingVariesByDestination == nil)
    }

    @Test func `an answer to nothing is ignored`() {
        var generator = SystemRandomNumberGenerator()
        var check = NetCheck(targets: [target(1, 1)], isIncremental: false, now: start)
        _ = check.poll(at: start, using: &generator)
        check.receive(STUNTransactionID(high: 1, low: 2), seen: seen, at: start)
        #expect(!check.isFinished)
        #expect(!check.report.hasAnswers)
    }

    @Test func `two servers that see different ports reveal a varying mapping`() throws {
        var generator = SystemRandomNumberGenerator()
        var check = NetCheck(targets: [target(1, 1), target(2, 2)], isIncremental: false, now: start)
        let probes = check.poll(at: start, using: &generator)
        for (index, probe) in probes.enumerated() {
            check.receive(
                probe.transaction,
                seen: AddressPort(seen.address, port: UInt16(100 + index)),
                at: start + .milliseconds(5)
            )
        }
        #expect(check.report.mappingVariesByDestination == true)
        let info = check.report.netInfo(home: 1, hasIPv6: false)
        #expect(info.preferredDERP == 1)
        #expect(info.derpLatency["1-v4"] == 0.005)
        #expect(info.workingUDP == true)
    }

    @Test func `two answers of one server say nothing about the mapping`() throws {
        var generator = SystemRandomNumberGenerator()
        var check = NetCheck(targets: [target(1, 1), target(2, 2)], isIncremental: false, now: start)
        let first = check.poll(at: start, using: &generator)
        let again = check.poll(at: start + .milliseconds(100), using: &generator)
        for probe in first + again where probe.address == target(1, 1).address {
            check.receive(probe.transaction, seen: seen, at: start + .milliseconds(150))
        }
        #expect(check.report.mappingVariesByDestination == nil)
        #expect(check.report.latency[1] == .milliseconds(50))
    }

    @Test func `an incremental round asks home and the three fastest, each as it deserves`() {
        let regions = (1...6).map { number in
            let id = DERPRegionID(rawValue: Int64(number))
            return DERPRegion(regionID: id, regionCode: "", regionName: "", nodes: [])
        }
        var map = DERPMap(regions: Dictionary(uniqueKeysWithValues: regions.map { ($0.regionID, $0) }))
        map.regions[2]?.noMeasureNoHome = true
        var last = NetCheckReport()
        for (region, milliseconds) in [(1, 50), (3, 10), (4, 20), (5, 30)] {
            last.latency[DERPRegionID(rawValue: Int64(region))] = .milliseconds(milliseconds)
        }
        last.latencyIPv4 = last.latency
        func plan(_ isIncremental: Bool, _ home: DERPRegionID, _ last: NetCheckReport?) -> [String] {
            NetCheckEffort.plan(of: map, isIncremental: isIncremental, home: home, lastReport: last).map {
                "\($0.region.regionID):\($0.effort.tries)x\($0.effort.spacing.wholeNanoseconds / 1_000_000)"
            }
        }
        #expect(plan(true, 6, last) == ["3:2x12", "4:2x24", "5:1x36", "6:4x200"])
        #expect(plan(true, 3, last) == ["3:4x12", "4:2x24", "5:1x36"])
        #expect(plan(false, 3, last) == ["1:3x100", "3:3x100", "4:3x100", "5:3x100", "6:3x100"])
        #expect(plan(true, 3, nil).count == 5)
    }

    @Test func `a round ends soon after three regions answered, later when it is a full one`() {
        for (isIncremental, limit) in [(true, 40), (false, 60)] {
            var generator = SystemRandomNumberGenerator()
            let targets = (1...4).map { target(DERPRegionID(rawValue: $0), UInt8($0)) }
            var check = NetCheck(targets: targets, isIncremental: isIncremental, now: start)
            for probe in check.poll(at: start, using: &generator) where probe.address != targets[3].address {
                check.receive(probe.transaction, seen: seen, at: start + .milliseconds(20))
            }
            #expect(!check.isFinished)
            _ = check.poll(at: start + .milliseconds(limit - 1), using: &generator)
            #expect(!check.isFinished)
            _ = check.poll(at: start + .milliseconds(limit), using: &generator)
            #expect(check.isFinished)
        }
    }

    @Test func `without regions there is nothing to wait for`() {
        #expect(NetCheck(targets: [], isIncremental: false, now: start).isFinished)
    }
}
