import Testing
import Transport

@Suite("ProxySettings") struct ProxySettingsTests {
    @Test(
        arguments: [
            ("http://proxy.example:3128", "proxy.example:3128", false),
            ("proxy.example:3128", "proxy.example:3128", false),
            ("proxy.example", "proxy.example:80", false),
            ("https://proxy.example/", "proxy.example:443", true),
            ("http://[::1]:8080", "[::1]:8080", false),
            ("http://user:p%40ss@10.0.0.1:8080", "10.0.0.1:8080", false),
        ] as [(String, String, Bool)]
    )
    func `reads the URLs that people write`(text: String, name: String, isTLS: Bool) throws {
        let proxy = try #require(HTTPProxy(text))
        #expect(proxy.name == name)
        #expect(proxy.isTLS == isTLS)
    }

    @Test(
        arguments: [
            "", "socks5://proxy:1080", "http://", "http://proxy:0", "http://proxy:70000", "http://proxy/path",
            "http://proxy?x", "http://a b", "http://u%0Aser@proxy",
        ]
    )
    func `refuses everything else without repeating it`(text: String) {
        #expect(HTTPProxy(text) == nil)
        guard !text.isEmpty else { return }
        let error = #expect(throws: InvalidProxy.self) { try ProxySettings(environment: ["HTTPS_PROXY": text]) }
        #expect(error?.description.contains("HTTPS_PROXY") == true)
    }

    @Test func `takes the variables in either case, upper case first, and empty ones for none`() throws {
        let both = try ProxySettings(environment: ["HTTPS_PROXY": "one:1", "https_proxy": "two:2"])
        #expect(both.proxy(for: "h", port: 443)?.name == "one:1")
        let lower = try ProxySettings(environment: ["https_proxy": "two:2", "no_proxy": "h"])
        #expect(lower.proxy(for: "h", port: 443) == nil)
        #expect(lower.proxy(for: "g", port: 443)?.name == "two:2")
        let empty = try ProxySettings(environment: ["HTTPS_PROXY": "", "NO_PROXY": "h"])
        #expect(empty.proxy(for: "g", port: 443) == nil)
    }

    @Test(
        arguments: [
            ("control.example", "control.example", true), ("control.example", "a.control.example", true),
            ("control.example", "othercontrol.example", false), (".control.example", "control.example", false),
            (".control.example", "a.control.example", true), ("*.control.example", "a.control.example", true),
            ("CONTROL.example", "control.EXAMPLE.", true), ("control.example:8443", "control.example", false),
            ("control.example:443", "control.example", true), ("10.0.0.0/8", "10.1.2.3", true),
            ("10.0.0.0/8", "11.1.2.3", false), ("10.0.0.0/8", "ten.example", false), ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1:80", "192.0.2.1", false), ("2001:db8::/32", "2001:db8::1", true),
            ("[2001:db8::1]:443", "2001:db8::1", true),
            ("*", "anything", true), ("a, b ,c", "b", true), (",,", "b", false), ("", "localhost", true),
            ("", "127.9.9.9", true), ("", "::1", true), ("", "203.0.113.1", false),
        ] as [(String, String, Bool)]
    )
    func `knows its exceptions`(noProxy: String, host: String, isDirect: Bool) throws {
        let settings = ProxySettings(proxy: HTTPProxy("proxy:1"), noProxy: noProxy)
        #expect((settings.proxy(for: host, port: 443) == nil) == isDirect)
    }

    @Test func `never shows the password`() throws {
        let proxy = try #require(HTTPProxy("http://user:hunter2@proxy:1"))
        let settings = ProxySettings(proxy: proxy, noProxy: "")
        #expect("\(proxy)" == "proxy:1")
        for text in ["\(proxy)", String(reflecting: proxy), "\(settings)", String(reflecting: settings)] {
            #expect(!text.contains("hunter2") && !text.contains("dXNlcjpodW50ZXIy"), "\(text)")
        }
    }
}
