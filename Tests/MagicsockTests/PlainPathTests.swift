import Magicsock
import NetTypes
import Testing

@Suite("PlainPath") struct PlainPathTests {
    private let first = AddressPort(.v4(IPv4Address(198, 51, 100, 1)), port: 51820)
    private let second = AddressPort(.v4(IPv4Address(198, 51, 100, 2)), port: 51820)

    private func path() -> PlainPath {
        var path = PlainPath()
        path.setEndpoints([first, second, first])
        return path
    }

    @Test func `a handshake goes everywhere, and what answers first is used`() {
        var path = path()
        #expect(path.beginHandshake() == [first, second])
        #expect(path.isProven == false)
        path.receive(from: second)
        #expect(path.current == second)
        #expect(path.isProven)
        #expect(path.beginHandshake() == [second])
    }

    @Test func `a handshake without an answer has everything tried again`() {
        var path = path()
        _ = path.beginHandshake()
        path.receive(from: second)
        _ = path.beginHandshake()
        #expect(path.beginHandshake() == [first, second])
        #expect(path.current == second)
    }

    @Test func `an address that control does not name is no way to the peer`() {
        var path = path()
        path.receive(from: AddressPort(first.address, port: 9))
        #expect(path.current == first)
        #expect(!path.isProven)
    }

    @Test func `a proven endpoint outlives a new list that still names it`() {
        var path = path()
        path.receive(from: second)
        path.setEndpoints([second])
        #expect(path.isProven)
        path.setEndpoints([first])
        #expect(path.current == first)
        #expect(!path.isProven)
    }
}
