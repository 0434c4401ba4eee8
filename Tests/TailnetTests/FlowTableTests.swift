import NetTypes
import NetWire
import Testing

@testable import Tailnet

@Suite("FlowTable")
struct FlowTableTests {
    private func key(_ number: UInt16) throws -> FlowKey {
        let source = AddressPort(.v4(IPv4Address(100, 64, 0, 1)), port: number)
        let destination = AddressPort(.v4(IPv4Address(100, 64, 0, 2)), port: 53)
        return FlowKey(of: try ParsedPacket(parsing: TestPackets.udp(source, destination)))
    }

    @Test func `it remembers the 512 flows used last, like a list would`() throws {
        var random = SplitMix64(state: 3)
        let keys = try (0..<900 as Range<UInt16>).map { try key($0) }
        var table = FlowTable(seed: 5)
        var model: [Int] = []
        for round in 0..<6000 {
            let index = Int.random(in: keys.indices, using: &random)
            if round % 3 == 0 {
                let known = model.firstIndex(of: index)
                let isKnown = table.refresh(keys[index])
                #expect(isKnown == (known != nil))
                if let known { model.append(model.remove(at: known)) }
            } else {
                table.insert(keys[index])
                if let known = model.firstIndex(of: index) { model.remove(at: known) }
                model.append(index)
                if model.count > FlowTable.capacity { model.removeFirst() }
            }
            #expect(table.count == model.count)
        }
        #expect(model.count == FlowTable.capacity)
        // Asking in the list's own order changes nothing about it.
        let known = model.filter { table.refresh(keys[$0]) }
        #expect(known == model)
        let strangers = Set(keys.indices).subtracting(model).filter { table.refresh(keys[$0]) }
        #expect(strangers.isEmpty)
        table.removeAll()
        #expect(table.count == 0)
        let left = keys.indices.filter { table.refresh(keys[$0]) }
        #expect(left.isEmpty)
        table.insert(keys[3])
        let found = keys.indices.filter { table.refresh(keys[$0]) }
        #expect(found == [3])
    }

    @Test func `the directions, protocols and families of one pair differ`() throws {
        let udp = try ParsedPacket(parsing: TestPackets.udp("1.2.3.4:5", "5.6.7.8:9"))
        let back = try ParsedPacket(parsing: TestPackets.udp("5.6.7.8:9", "1.2.3.4:5"))
        let mapped = try ParsedPacket(parsing: TestPackets.udp("[::ffff:1.2.3.4]:5", "[::ffff:5.6.7.8]:9"))
        #expect(FlowKey(of: udp) != FlowKey(answering: udp))
        #expect(FlowKey(of: back) == FlowKey(answering: udp))
        #expect(FlowKey(of: mapped) != FlowKey(of: udp))
        let sctp = try ParsedPacket(parsing: TestPackets.sctp("1.2.3.4", "5.6.7.8", port: 9))
        let same = try ParsedPacket(parsing: TestPackets.udp("1.2.3.4:40000", "5.6.7.8:9"))
        #expect(FlowKey(of: sctp) != FlowKey(of: same))
    }
}

@Suite("SortedRanges")
struct SortedRangesTests {
    @Test func `a group joins what touches and keeps gaps`() throws {
        var ranges = SortedRanges<UInt32>()
        let below = ranges.append([AddressRange(7)])
        let group = ranges.append([
            AddressRange(30), AddressRange(10), try #require(AddressRange(11, through: 20)),
            try #require(AddressRange(15, through: 18)), AddressRange(.max), AddressRange(.max - 1),
        ])
        let empty = ranges.append([])
        #expect(group.count == 3)
        for address in [10, 11, 20, 30, .max - 1, .max] as [UInt32] { #expect(ranges.contains(address, in: group)) }
        for address in [0, 7, 9, 21, 29, 31, .max - 2] as [UInt32] { #expect(!ranges.contains(address, in: group)) }
        #expect(ranges.contains(7, in: below))
        #expect(!ranges.contains(7, in: empty))
    }

    @Test func `prefixes of every length hold their ends`() {
        for length in 0...32 {
            let range = AddressRange<UInt32>(0x6440_0000, length: length)
            #expect(range.upper &- range.lower == (length == 0 ? .max : UInt32(1) << UInt32(32 - length) &- 1))
            #expect(range.contains(0x6440_0000))
        }
        let every = AddressRange<UInt128>(5, length: 0)
        #expect(every.lower == 0 && every.upper == .max)
    }
}
