import ControlPlane
import Foundation
import NIOCore
import Tailcfg
import TestSupport
import Testing

@Suite("Ping answer vectors") struct ControlPingVectorTests {
    @Test(arguments: try VectorFile("ping_answers", in: Bundle.module).cases)
    func `answers what the reference answers`(vector: VectorCase) throws {
        let request = try JSONDecoder().decode(
            PingRequest.self,
            from: try #require(vector.value.document?.PingRequest).data
        )
        let expected = try #require(vector.value.requests?.array)
        switch ControlPing(request) {
        case .ignore:
            #expect(expected.isEmpty)
        case .head(let url, let isNoise):
            #expect(isNoise == request.urlIsNoise)
            #expect(expected.map { $0.method?.string } == ["HEAD"])
            #expect(ControlPing.path(of: url)?.prefix { $0 != "?" } == expected.first?.path?.string?[...])
        case .post(let path, let body):
            #expect(expected.map { $0.method?.string } == ["POST"])
            #expect(path == expected.first?.path?.string)
            #expect(String(buffer: body) == expected.first?.body?.string)
        case .probe(let url, _, let kinds, let address):
            #expect(Set(kinds.map(\.rawValue)).count == expected.count)
            for answer in expected {
                #expect(ControlPing.path(of: url) == answer.path?.string)
                let body = try JSONDecoder().decode(
                    PingResponse.self,
                    from: Data(try #require(answer.body?.string).utf8)
                )
                #expect(kinds.map(\.rawValue).contains(body.type))
                #expect(body.ip == "\(address)")
            }
        }
    }

    @Test func `takes path and query from the URL and nothing that splits a request`() {
        #expect(ControlPing.path(of: "https://unused/c2n/1?a=b#c") == "/c2n/1?a=b")
        #expect(ControlPing.path(of: "https://unused") == "/")
        #expect(ControlPing.path(of: "https://unused?x") == "/?x")
        #expect(ControlPing.path(of: "/c2n/1") == nil)
        #expect(ControlPing.path(of: "https://unused/a\r\nEvil: 1") == nil)
    }
}
