import Foundation
import GuestNetwork
import NIOCore
import NIOPosix
import NetTypes
import NetWire
import TCP

/// This machine's own kernel as a guest: a TAP device in a network namespace of the test's, whose frames come as QEMU's do.
final class KernelGuest: Sendable {
    /// Whether namespaces can be made here.
    static var isPossible: Bool {
        getuid() == 0 && FileManager.default.fileExists(atPath: "/dev/net/tun")
            && ["/usr/sbin/ip", "/sbin/ip"].contains { FileManager.default.isExecutableFile(atPath: $0) }
            && (try? run(["ip", "netns", "list"])) != nil
    }

    private static let relay = """
        import fcntl, os, socket, struct, subprocess, sys, threading
        tap = os.open('/dev/net/tun', os.O_RDWR)
        fcntl.ioctl(tap, 0x400454ca, struct.pack('16sH', b'tap0', 0x1002))
        for words in ['addr add 100.64.0.1/10 dev tap0', 'link set lo up', 'link set tap0 mtu 1280 up']:
            subprocess.run(['ip'] + words.split(), check=True)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(sys.argv[1])
        listener.listen(1)
        stream, _ = listener.accept()
        def upward():
            while True:
                frame = os.read(tap, 4096)
                stream.sendall(struct.pack('>I', len(frame)) + frame)
        threading.Thread(target=upward, daemon=True).start()
        octets = b''
        while True:
            more = stream.recv(65536)
            if not more:
                break
            octets += more
            while len(octets) >= 4 and len(octets) >= 4 + struct.unpack('>I', octets[:4])[0]:
                count = struct.unpack('>I', octets[:4])[0]
                os.write(tap, octets[4:4 + count])
                octets = octets[4 + count:]
        """

    let namespace = "warren-\(UInt32.random(in: 0 ... .max))"
    private let path = NSTemporaryDirectory() + "k\(UInt32.random(in: 0 ... .max)).sock"
    private let process = Process()

    /// Lends a guest to `body`, and removes everything of it afterwards.
    static func with<Result>(_ body: (KernelGuest) async throws -> Result) async throws -> Result {
        let guest = try KernelGuest()
        do {
            let result = try await body(guest)
            guest.remove()
            return result
        } catch {
            guest.remove()
            throw error
        }
    }

    private init() throws {
        try Self.run(["ip", "netns", "add", namespace])
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["ip", "netns", "exec", namespace, "python3", "-c", Self.relay, path]
        try process.run()
    }

    private func remove() {
        process.terminate()
        process.waitUntilExit()
        // What cannot be removed is gone already.
        _ = try? Self.run(["ip", "netns", "del", namespace])
        try? FileManager.default.removeItem(atPath: path)
    }

    /// Connects to the guest's NIC; `handler` takes its octets.
    func connect(_ handler: @escaping @Sendable () -> any ChannelHandler & Sendable) async throws -> any Channel {
        for _ in 0..<500 where !FileManager.default.fileExists(atPath: path) {
            try await Task.sleep(for: .milliseconds(10))
        }
        return try await ClientBootstrap(group: NIOSingletons.posixEventLoopGroup)
            .channelInitializer { $0.pipeline.addHandler(handler()) }
            .connect(unixDomainSocketPath: path).get()
    }

    /// Runs a program inside, and returns what it printed.
    func run(inside arguments: [String]) async throws -> String {
        let namespace = namespace
        return try await withCheckedThrowingContinuation { continuation in
            // A thread of its own, because the program is waited for.
            Thread.detachNewThread {
                continuation.resume(
                    with: Swift.Result { try Self.run(["ip", "netns", "exec", namespace] + arguments) }
                )
            }
        }
    }

    @discardableResult
    private static func run(_ arguments: [String]) throws -> String {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = arguments
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = pipe
        try process.run()
        let output = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else { throw Failed(output: String(decoding: output, as: UTF8.self)) }
        return String(decoding: output, as: UTF8.self)
    }

    struct Failed: Error {
        var output: String
    }
}

/// The link of a kernel guest over a cable that loses and delays frames with IPv4 in them.
final class CableHandler: ChannelInboundHandler, @unchecked Sendable {  // Confined to its channel's event loop.
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let peer: EchoClient?
    private let link: GuestLink
    private let lossPercent: Int
    private let delayPercent: Int
    private let answer: (DNSQuery) -> [UInt8]
    private var decoder = NICFrameDecoder()
    private var generator = SeededGenerator(seed: 11)
    private var timer: RepeatedTask?

    init(
        _ link: GuestLink,
        lossPercent: Int = 0,
        delayPercent: Int = 0,
        answer: @escaping (DNSQuery) -> [UInt8] = { _ in [] },
        peer: EchoClient? = nil
    ) {
        (self.link, self.lossPercent, self.delayPercent) = (link, lossPercent, delayPercent)
        (self.answer, self.peer) = (answer, peer)
    }

    func channelActive(context: ChannelHandlerContext) {
        let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
        timer = context.eventLoop.scheduleRepeatedTask(initialDelay: .milliseconds(5), delay: .milliseconds(5)) {
            [self] _ in
            var batch = NICFrameBatch()
            link.tickStreams(into: &batch)
            for packet in peer?.proceed() ?? [] { link.send(packet: packet.span, into: &batch) }
            write(batch, bound.value)
        }
    }

    func channelInactive(context: ChannelHandlerContext) { timer?.cancel() }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        decoder.append(unwrapInboundIn(data))
        while let frame = try? decoder.next() { pass(frame, context) { self.receive($0, context) } }
    }

    private func receive(_ frame: ByteBuffer, _ context: ChannelHandlerContext) {
        var frame = frame
        var batch = NICFrameBatch()
        switch link.receive(frame: &frame) {
        case .reply: batch.append(frame: frame.readableBytesUInt8Span)
        case .resolve(let query): resolve([query], &batch)
        case .stream(let queries):
            resolve(queries, &batch)
            link.sendStreams(into: &batch)
        case .forward(let parsed):
            for packet in peer?.receive(frame.readableBytesUInt8Span, parsed) ?? [] {
                link.send(packet: packet.span, into: &batch)
            }
        case .consumed, .drop: break
        }
        write(batch, context)
    }

    private func resolve(_ queries: [DNSQuery], _ batch: inout NICFrameBatch) {
        for query in queries { resolve(link.respond(to: query, message: answer(query), into: &batch), &batch) }
    }

    private func write(_ batch: NICFrameBatch, _ context: ChannelHandlerContext) {
        guard !batch.isEmpty else { return }
        var batch = batch
        var splitter = NICFrameDecoder()
        splitter.append(batch.take())
        while let frame = try? splitter.next() {
            pass(frame, context) { frame in
                var octets = ByteBuffer()
                octets.writeInteger(UInt32(frame.readableBytes))
                octets.writeImmutableBuffer(frame)
                context.writeAndFlush(self.wrapOutboundOut(octets), promise: nil)
            }
        }
    }

    /// Loses, delays or delivers a frame; ARP always gets through.
    private func pass(_ frame: ByteBuffer, _ context: ChannelHandlerContext, _ deliver: @escaping (ByteBuffer) -> Void)
    {
        guard frame.getInteger(at: frame.readerIndex + 12, as: UInt16.self) == 0x0800 else { return deliver(frame) }
        let chance = Int.random(in: 0..<100, using: &generator)
        if chance < lossPercent { return }
        guard chance < lossPercent + delayPercent else { return deliver(frame) }
        context.eventLoop.assumeIsolated().scheduleTask(in: .milliseconds(3)) { deliver(frame) }
    }
}

/// Somebody in the tailnet who connects to an echo server in the guest.
final class EchoClient {
    static let port: UInt16 = 7_777
    let octets: [UInt8]
    private(set) var echoed: [UInt8] = []
    private var written = 0
    private var connection: TCPConnection
    private let done: EventLoopPromise<[UInt8]>
    private var isDone = false

    init(_ octets: [UInt8], done: EventLoopPromise<[UInt8]>) {
        (self.octets, self.done) = (octets, done)
        connection = TCPConnection(
            from: AddressPort(.v4(GuestSide.peer), port: 50_000),
            to: AddressPort(.v4(GuestSide.address), port: Self.port),
            initialSequence: 0xFFFF_F000,
            mtu: 1280,
            now: Self.now
        )
    }

    private static var now: MonotonicTime { MonotonicTime(nanoseconds: NIODeadline.now().uptimeNanoseconds) }

    func receive(_ packet: Span<UInt8>, _ parsed: ParsedPacket) -> [[UInt8]] {
        if let segment = TCPSegment(parsing: packet, parsed) { connection.receive(segment, now: Self.now) }
        return proceed()
    }

    func proceed() -> [[UInt8]] {
        connection.tick(now: Self.now)
        echoed += connection.read()
        let piece = octets[written..<min(written + connection.room, octets.count)]
        if connection.state == .established, !piece.isEmpty, connection.write(Array(piece)) {
            written += piece.count
            if written == octets.count { connection.finish() }
        }
        if !isDone, connection.isReadFinished {
            isDone = true
            if let failure = connection.failure { done.fail(failure) } else { done.succeed(echoed) }
        }
        return connection.takeOutgoing(now: Self.now)
    }
}
