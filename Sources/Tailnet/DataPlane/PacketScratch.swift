import Glibc
import NetTypes

/// One reusable buffer in which packets are sealed and opened in place, so that no packet costs an allocation.
struct PacketScratch: ~Copyable {
    private let memory: UnsafeMutableRawBufferPointer

    /// A buffer of `byteCount` octets.
    init(byteCount: Int) {
        // Pages of the kernel's own cost nothing until they are touched, and most packets touch only the first.
        let flags = MAP_PRIVATE | MAP_ANONYMOUS
        guard let memory = mmap(nil, byteCount, PROT_READ | PROT_WRITE, flags, -1, 0), memory != MAP_FAILED else {
            preconditionFailure("no memory for packets")
        }
        self.memory = UnsafeMutableRawBufferPointer(start: memory, count: byteCount)
    }

    deinit { munmap(memory.baseAddress, memory.count) }

    /// How much fits.
    var byteCount: Int { memory.count }

    /// Copies octets to `offset`; false when they do not fit.
    mutating func load(_ octets: Span<UInt8>, at offset: Int) -> Bool {
        guard offset + octets.count <= memory.count else { return false }
        octets.withUnsafeBytes { source in
            UnsafeMutableRawBufferPointer(rebasing: memory[offset...]).copyMemory(from: source)
        }
        return true
    }

    /// Lends the first `count` octets for change.
    mutating func withMutableSpan<Result>(first count: Int, _ body: (inout MutableRawSpan) -> Result) -> Result {
        var span = MutableRawSpan(_unsafeBytes: UnsafeMutableRawBufferPointer(rebasing: memory[..<count]))
        return body(&span)
    }

    /// Lends the octets of `range` for reading.
    func withSpan<Result>(_ range: Range<Int>, _ body: (Span<UInt8>) -> Result) -> Result {
        body(Span(_unsafeBytes: UnsafeRawBufferPointer(rebasing: memory[range])))
    }
}
