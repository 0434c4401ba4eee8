import NIOCore
import Testing

@testable import DERP

@Suite("DERPTokenBucket") struct DERPTokenBucketTests {
    private func bucket(rate: Int?, burst: Int?) -> DERPTokenBucket? {
        var info = DERPServerInfo()
        (info.tokenBucketBytesPerSecond, info.tokenBucketBytesBurst) = (rate, burst)
        return DERPTokenBucket(info, now: .uptimeNanoseconds(0))
    }

    @Test func `a burst passes, then the rate`() throws {
        var bucket = try #require(self.bucket(rate: 1_000, burst: 300))
        let passed = [(100, 0), (200, 0), (1, 0), (100, 99), (100, 100), (300, 10_000), (1, 10_000)].map {
            bucket.take($0.0, now: .uptimeNanoseconds(UInt64($0.1) * 1_000_000))
        }
        #expect(passed == [true, true, false, false, true, true, false])
    }

    @Test(arguments: [(nil, nil), (1_000, nil), (0, 10), (-5, 10), (10, -1)] as [(Int?, Int?)])
    func `a limit that would let nothing through is none`(rate: Int?, burst: Int?) {
        #expect(bucket(rate: rate, burst: burst) == nil)
    }
}
