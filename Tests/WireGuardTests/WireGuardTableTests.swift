import NetTypes
import Testing

@testable import WireGuard

@Suite("Tables of the WireGuard device") struct WireGuardTableTests {
    private func peer(_ number: Int) -> PeerIndex { PeerIndex(slot: Int32(number), generation: 0) }

    @Test func `the longest prefix wins in each family`() throws {
        var table = AllowedIPs()
        for (number, text) in ["0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "10.1.2.3/32", "::/0", "fd00::/8"].enumerated()
        {
            table.insert(try #require(IPPrefix(text)), owner: peer(number))
        }
        for (text, owner) in [
            ("8.8.8.8", 0), ("10.2.0.1", 1), ("10.1.2.4", 2), ("10.1.2.3", 3), ("2001:db8::1", 4), ("fd00::1", 5),
        ] {
            #expect(table.owner(of: try #require(IPAddress(text))) == peer(owner), "\(text)")
        }
    }

    @Test func `a prefix has one owner, and only that one takes it away`() throws {
        var table = AllowedIPs()
        let prefix = try #require(IPPrefix("100.64.0.1/32"))
        table.insert(prefix, owner: peer(1))
        table.insert(prefix, owner: peer(2))
        #expect(table.count == 1)
        table.remove(prefix, owner: peer(1))
        #expect(table.owner(of: prefix.address) == peer(2))
        table.remove(prefix, owner: peer(2))
        #expect(table.owner(of: prefix.address) == nil && table.count == 0)
    }

    @Test func `random changes agree with a list`() {
        var generator = ScriptedGenerator(seed: 5)
        var table = AllowedIPs()
        var list: [IPPrefix: PeerIndex] = [:]
        func randomPrefix() -> IPPrefix? {
            let (high, low) = (generator.next(), generator.next())
            if generator.next() % 2 == 0 {
                // Few distinct bits, so that prefixes nest.
                let address = IPv4Address(rawValue: UInt32(truncatingIfNeeded: high) & 0xC0C0_0303)
                return IPPrefix(.v4(address), length: Int(generator.next() % 33))?.masked
            }
            let address = IPv6Address(high: high & 0xC000_0000_0000_0003, low: low & 0xC000_0000_0000_0003)
            return IPPrefix(.v6(address), length: Int(generator.next() % 129))?.masked
        }
        for round in 0..<3000 {
            guard let prefix = randomPrefix() else { continue }
            let owner = peer(Int(generator.next() % 4))
            if generator.next() % 3 > 0 {
                table.insert(prefix, owner: owner)
                list[prefix] = owner
            } else {
                table.remove(prefix, owner: owner)
                if list[prefix] == owner { list[prefix] = nil }
            }
            guard round % 10 == 0, let probe = randomPrefix()?.address else { continue }
            let best = list.filter { $0.key.contains(probe) }.max { $0.key.length < $1.key.length }
            #expect(table.owner(of: probe) == best?.value)
            #expect(table.count == list.count)
        }
        for (prefix, owner) in list { table.remove(prefix, owner: owner) }
        #expect(table.count == 0)
    }

    @Test func `the index table agrees with a dictionary`() {
        var generator = ScriptedGenerator(seed: 6)
        var table = IndexTable()
        var reference: [UInt32: Int] = [:]
        for round in 0..<5000 {
            // Few low bits, so that runs of entries form.
            let index = UInt32(truncatingIfNeeded: generator.next()) & 0xFF00_003F
            if reference[index] == nil, generator.next() % 2 == 0 {
                table.insert(index, slot: round)
                reference[index] = round
            } else {
                table.remove(index)
                reference[index] = nil
            }
            #expect(table.count == reference.count)
        }
        for index in UInt32(0)..<64 {
            for high in UInt32(0)..<256 {
                let key = high << 24 | index
                #expect(table.slot(of: key) == reference[key])
            }
        }
    }

    @Test func `deadlines come due in order`() {
        var generator = ScriptedGenerator(seed: 7)
        var queue = DeadlineQueue()
        var reference: [Int: UInt64] = [:]
        for _ in 0..<3000 {
            let slot = Int(generator.next() % 200)
            switch generator.next() % 4 {
            case 0:
                queue.remove(slot)
                reference[slot] = nil
            case 1:
                let now = MonotonicTime(nanoseconds: generator.next() % 300)
                while let due = queue.popDue(at: now) {
                    #expect(reference[due] == reference.values.min())
                    reference[due] = nil
                }
                #expect(reference.values.allSatisfy { $0 > now.nanoseconds })
            default:
                let deadline = generator.next() % 1000
                queue.schedule(slot, by: MonotonicTime(nanoseconds: deadline))
                reference[slot] = min(reference[slot] ?? .max, deadline)
            }
            #expect(queue.earliest?.nanoseconds == reference.values.min())
        }
    }

    @Test func `timestamps compare like times and hide the fine part of the clock`() {
        let clock = TimestampClock(anchor: .seconds(5), unixNanoseconds: 1_000_000_000_500_000_000)
        let early = clock.timestamp(at: .seconds(5))
        let late = clock.timestamp(at: .seconds(6))
        #expect(early < late && clock.timestamp(at: .zero) == early)
        #expect(early.bytes.suffix(3).allSatisfy { $0 == 0 })
        let parsed = TAI64N(late.bytes.span, at: 0)
        #expect(parsed == late)
    }
}
