import Glibc
package import NIOCore
import NIOPosix
package import NetTypes

/// Turns the name of a target into addresses, once a delivery.
package protocol HostResolver: Sendable {
    /// The addresses of `host`, the preferred first.
    func addresses(of host: String) async throws -> [IPAddress]
}

/// A name that has no address, or none that may be used.
package enum TargetError: Error, Equatable, Sendable {
    /// The name does not resolve.
    case unresolved
    /// The policy forbids every address.
    case refused(IPAddress)
}

/// The resolver of the operating system, on NIO's pool of blocking threads.
package struct SystemHostResolver: HostResolver {
    private let group: any EventLoopGroup
    private let timeout: TimeAmount

    /// Waits for answers on a loop of `group`, at most as long as `timeout`.
    package init(group: any EventLoopGroup, timeout: Duration) {
        self.group = group
        self.timeout = .nanoseconds(timeout.wholeNanoseconds)
    }

    /// Asks the system; an address stands for itself.
    package func addresses(of host: String) async throws -> [IPAddress] {
        if let address = IPAddress(host) { return [address] }
        let loop = group.next()
        let promise = loop.makePromise(of: [IPAddress].self)
        // The system's look-up cannot be broken off: when time is up its thread is left to end by itself.
        NIOThreadPool.singleton.runIfActive(eventLoop: loop) { try Self.look(up: host) }.cascade(to: promise)
        let alarm = loop.scheduleTask(in: timeout) { promise.fail(TargetError.unresolved) }
        defer { alarm.cancel() }
        return try await promise.futureResult.get()
    }

    private static func look(up host: String) throws -> [IPAddress] {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        hints.ai_flags = AI_ADDRCONFIG
        var head: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(host, nil, &hints, &head) == 0 else { throw TargetError.unresolved }
        defer { freeaddrinfo(head) }
        var addresses: [IPAddress] = []
        var next = head
        while let entry = next {
            if let address = address(of: entry.pointee), !addresses.contains(address) { addresses.append(address) }
            next = entry.pointee.ai_next
        }
        return addresses
    }

    private static func address(of entry: addrinfo) -> IPAddress? {
        var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
        guard
            getnameinfo(
                entry.ai_addr,
                entry.ai_addrlen,
                &text,
                socklen_t(text.count),
                nil,
                0,
                NI_NUMERICHOST
            ) == 0
        else { return nil }
        let bytes = text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
        return IPAddress(String(decoding: bytes, as: UTF8.self))
    }
}
