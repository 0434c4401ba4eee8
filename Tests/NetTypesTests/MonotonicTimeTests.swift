import NetTypes
import Testing

@Suite("MonotonicTime") struct MonotonicTimeTests {
    @Test func `adds and subtracts durations`() {
        let start = MonotonicTime(nanoseconds: 5_000_000_000)
        #expect(start + .seconds(2) == MonotonicTime(nanoseconds: 7_000_000_000))
        #expect(start - .milliseconds(1) == MonotonicTime(nanoseconds: 4_999_000_000))
        #expect((start + .seconds(3)) - start == .seconds(3))
        #expect(start - (start + .seconds(3)) == .seconds(-3))
    }

    @Test func `stays within its range`() {
        #expect(MonotonicTime.zero - .seconds(1) == .zero)
        #expect(MonotonicTime.distantFuture + .seconds(1) == .distantFuture)
        #expect(Duration.seconds(Int64.max).wholeNanoseconds == .max)
        #expect(Duration.seconds(Int64.min).wholeNanoseconds == .min)
    }
}
