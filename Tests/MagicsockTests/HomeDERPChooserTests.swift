import Magicsock
import NetTypes
import Tailcfg
import Testing

@Suite("HomeDERPChooser") struct HomeDERPChooserTests {
    private let start = MonotonicTime.zero + .seconds(1_000)

    @Test func `a home that stopped answering STUN but still relays is kept`() {
        var chooser = HomeDERPChooser(home: 1)
        let now = start + .seconds(30)
        let home = chooser.choose(
            latency: [2: .milliseconds(5)],
            startedAt: now - .seconds(3),
            now: now,
            lastFrame: now - .seconds(8)
        )
        #expect(home == 1)
    }

    @Test func `a home that neither answers nor relays is left`() {
        var chooser = HomeDERPChooser(home: 1)
        let home = chooser.choose(
            latency: [2: .milliseconds(5)],
            startedAt: start,
            now: start + .seconds(3),
            lastFrame: start - .seconds(60)
        )
        #expect(home == 2)
    }

    @Test func `a score beyond all measure chooses another region and traps nothing`() {
        var chooser = HomeDERPChooser()
        let latency: [DERPRegionID: Duration] = [1: .milliseconds(5), 2: .milliseconds(50)]
        let home = chooser.choose(latency: latency, scores: [1: 1e300], startedAt: start, now: start + .seconds(1))
        #expect(home == 2)
        let next = chooser.choose(latency: latency, scores: [2: .infinity], startedAt: start, now: start + .seconds(2))
        #expect(next == 1)
    }

    @Test(arguments: [(120, 1), (121, 0)])
    func `without any answer a live home connection holds for two minutes`(age: Int, home: Int64) {
        var chooser = HomeDERPChooser(home: 1)
        let chosen = chooser.choose(latency: [:], startedAt: start, now: start, lastFrame: start - .seconds(age))
        #expect(chosen.rawValue == home)
    }
}
