import NetTypes
import Testing

@testable import Tailnet

@Suite("DNSFraming") struct DNSFramingTests {
    private static let target = AddressPort(.v4(IPv4Address(100, 64, 0, 2)), port: 4_000)
    private static let good = "HTTP/1.1 200 OK\r\nContent-Type: application/dns-message\r\n"

    private func http() throws -> HTTPFraming { try HTTPFraming([1, 2, 3], to: "\(Self.target)", path: "/dns-query") }

    @Test func `a length and its octets, however they are cut`() throws {
        var framing = LengthFraming([9, 8])
        #expect(framing.request == [0, 2, 9, 8])
        for octet in [0, 3, 5, 6] as [UInt8] { #expect(try framing.take([octet]) == nil) }
        #expect(try framing.take([7, 99]) == [5, 6, 7])
        #expect(framing.finish() == nil)
    }

    @Test func `the answer of a post, with a length, in chunks or up to the end`() throws {
        var whole = try http()
        let answer = Array((Self.good + "Content-Length: 2\r\n\r\nab").utf8)
        for octet in answer.dropLast() { #expect(try whole.take([octet]) == nil) }
        #expect(try whole.take([answer[answer.count - 1]]) == Array("ab".utf8))
        var chunked = try http()
        let chunks = Self.good + "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n2\r\nyz\r\n0\r\n\r\n"
        #expect(try chunked.take(Array(chunks.utf8)) == Array("xyz".utf8))
        var open = try http()
        #expect(try open.take(Array((Self.good + "Connection: close\r\n\r\nq").utf8)) == nil)
        #expect(open.finish() == Array("q".utf8))
    }

    @Test(arguments: [
        "HTTP/1.1 500 No\r\nContent-Type: application/dns-message\r\nContent-Length: 1\r\n\r\na",
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 1\r\n\r\na",
        "HTTP/1.1 200 OK\r\nContent-Type: application/dns-message; x=y\r\nContent-Length: 1\r\n\r\na",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na", "SSH-2.0-nothing of the kind\r\n\r\n",
        "HTTP/1.1 302 Go\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n",
    ])
    func `whatever else comes is no answer`(text: String) throws {
        var framing = try http()
        #expect(throws: DNSFramingError.self) { try framing.take(Array(text.utf8)) }
    }

    @Test func `an endless answer is cut off, in the body and in the header`() throws {
        var body = try http()
        _ = try body.take(Array((Self.good + "\r\n").utf8))
        #expect(throws: DNSFramingError.self) {
            for _ in 0..<100 { _ = try body.take([UInt8](repeating: 97, count: 1_000)) }
        }
        var header = try http()
        #expect(throws: DNSFramingError.self) {
            _ = try header.take(Array(Self.good.utf8))
            for _ in 0..<2_000 {
                _ = try header.take(Array("X-Header: 0123456789012345678901234567890123456789\r\n".utf8))
            }
        }
    }
}
