import Testing
import Transport

@testable import ControlPlane

@Suite("ControlRoute") struct ControlRouteTests {
    private let ports = ControlConfiguration.StandardPorts()

    private func routes(_ url: String, skipsClearText: Bool = false) throws -> [String] {
        try ControlURL(url).rawRoutes(ports, skipsClearText: skipsClearText).map {
            "\($0.isTLS ? "tls" : "clear") \($0.port)\($0.isGuess ? " guess" : "")"
        }
    }

    @Test(
        arguments: [
            ("https://h", ["clear 80 guess", "tls 443"]), ("https://h:8443", ["clear 80 guess", "tls 8443"]),
            ("http://h", ["clear 80", "tls 443 guess"]), ("http://h:8080", ["clear 8080", "tls 443 guess"]),
            ("http://localhost", ["clear 80"]), ("http://127.0.0.1:8080", ["clear 8080"]),
            ("http://192.168.1.2", ["clear 80"]), ("http://[fd00::1]:8080", ["clear 8080"]),
            ("http://203.0.113.1", ["clear 80", "tls 443 guess"]),
        ] as [(String, [String])]
    )
    func `chooses ports by the URL`(url: String, expected: [String]) throws {
        #expect(try routes(url) == expected)
    }

    @Test func `leaves clear text out after a recent dial where TLS is the URL's own`() throws {
        #expect(try routes("https://h", skipsClearText: true) == ["tls 443"])
        #expect(try routes("http://h", skipsClearText: true) == ["clear 80", "tls 443 guess"])
    }

    @Test(
        arguments: [
            ("https://h", true, 443), ("https://h:8443", true, 8443), ("http://h", true, 443),
            ("http://h:8080", false, 8080),
            ("http://localhost", false, 80), ("http://10.0.0.1:3000", false, 3000),
        ] as [(String, Bool, Int)]
    )
    func `goes by WebSocket in TLS unless the URL names a port of clear text`(
        url: String,
        isTLS: Bool,
        port: Int
    ) throws {
        let route = try ControlURL(url).webSocketRoute(ports)
        #expect(route.isTLS == isTLS)
        #expect(route.port == port)
    }
}
