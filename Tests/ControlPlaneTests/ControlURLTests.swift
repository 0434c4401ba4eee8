import ControlPlane
import Testing

@Suite("ControlURL") struct ControlURLTests {
    @Test(
        arguments: [
            ("https://controlplane.example", "https://controlplane.example", 443),
            ("https://h:8443//", "https://h:8443", 8443),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080", 8080),
            ("HTTP://[::1]:80/", "http://[::1]", 80),
            ("https://h/base/", "https://h/base", 443),
        ] as [(String, String, Int)]
    )
    func `reads what people write`(text: String, canonical: String, port: Int) throws {
        let url = try ControlURL(text)
        #expect(url.description == canonical)
        #expect(url.port == port)
    }

    @Test(
        arguments: [
            "", "h", "ftp://h", "https://", "https://:80", "https://h:0", "https://h:65536", "https://h:+1",
            "https://u@h", "https://h?x", "https://h/#f", "https://[::1", "https://[zz]", "https://a:b:c",
            "https://h\n", "https://h h",
        ]
    )
    func `refuses everything else`(text: String) {
        #expect(throws: ControlError.invalidURL) { try ControlURL(text) }
    }
}
