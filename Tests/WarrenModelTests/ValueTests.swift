import NetTypes
import Testing
import WarrenModel

@Suite("Identifiers and values") struct ValueTests {
    @Test func `an identifier reads back what it wrote, and no other kind`() throws {
        var generator = SeededGenerator(seed: 1)
        let now = try #require(Timestamp("2026-11-23T02:00:00.123Z"))
        let id = VMID(now: now, using: &generator)
        #expect(id.description.hasPrefix("vm_01"))
        #expect(id.description.count == 29)
        #expect(VMID(id.description) == id)
        #expect(id.ulid.timestamp == now)
        #expect(EventID(id.description) == nil)
        #expect(VMID(id.description.uppercased()) == nil)
        #expect(VMID(id.description.dropLast()) == nil)
        #expect(VMID(id.description + "0") == nil)
        #expect(VMID("vm_8zzzzzzzzzzzzzzzzzzzzzzzzz") == nil)
        #expect(VMID("vm_7zzzzzzzzzzzzzzzzzzzzzzzzz")?.ulid == ULID(high: .max, low: .max))
        #expect(VMID(now: now, using: &generator) != id)
        #expect(VMID(now: now + .seconds(1), using: &generator) > id)
    }

    // The example of the ULID specification.
    @Test func `a ULID is Crockford's base 32`() {
        let ulid = ULID("01arz3ndektsv4rrffq69g5fav")
        #expect(ulid?.high == 0x0156_3E3A_B5D3_D676)
        #expect(ulid?.low == 0x4C61_EFB9_9302_BD5B)
        #expect(ulid?.description == "01arz3ndektsv4rrffq69g5fav")
    }

    @Test(
        arguments: [
            ("1970-01-01T00:00:00Z", 0), ("1970-01-01T00:00:00.001Z", 1),
            ("2026-11-23T01:33:00.000Z", 1_795_397_580_000),
            ("2000-02-29T23:59:59.999Z", 951_868_799_999), ("1969-12-31T23:59:59.500Z", -500),
            ("1600-03-01T00:00:00Z", -11_670_912_000_000),
            ("2026-11-23T03:33:00+02:00", 1_795_397_580_000), ("2026-11-22t20:03:00.000000-05:30", 1_795_397_580_000),
        ] as [(String, Int64)]
    )
    func `a timestamp is RFC 3339`(text: String, milliseconds: Int64) throws {
        let timestamp = try #require(Timestamp(text))
        #expect(timestamp.millisecondsSinceEpoch == milliseconds)
        #expect(Timestamp(timestamp.description) == timestamp)
        #expect(timestamp.description.count == 24)
    }

    @Test(arguments: [
        "", "2026-11-23", "2026-13-01T00:00:00Z", "2026-02-29T00:00:00Z", "2026-11-23T24:00:00Z", "2026-11-23T01:33:00",
        "2026-11-23T01:33:00.Z", "2026-11-23 01:33:00Z", "2026-11-23T01:33:00+0200", "2026-11-23T01:33:60Z",
        "２026-11-23T01:33:00Z",
    ])
    func `a timestamp is nothing else`(text: String) {
        #expect(Timestamp(text) == nil)
    }

    @Test(
        arguments: [
            ("30s", 30_000), ("5m", 300_000), ("1h30m", 5_400_000), ("1.5s", 1500), ("250ms", 250), ("0", 0), ("0s", 0),
            (".5s", 500), ("24h", 86_400_000),
        ] as [(String, Int64)]
    )
    func `a duration is read as Go writes it`(text: String, milliseconds: Int64) {
        #expect(Duration(goText: text) == .milliseconds(milliseconds))
    }

    @Test(arguments: ["", "30", "s", "-5s", "5 s", "1d", "5S", "1e3s", "99999999999h", ".s", "1..5s", "+1s", "NaNs"])
    func `a duration is nothing else`(text: String) {
        #expect(Duration(goText: text) == nil)
    }

    @Test func `a duration is written as Go writes it`() {
        #expect(Duration.seconds(5400).goText == "1h30m0s")
        #expect(Duration.seconds(300).goText == "5m0s")
        #expect(Duration.milliseconds(1500).goText == "1.5s")
        #expect(Duration.milliseconds(250).goText == "250ms")
        #expect(Duration.microseconds(1500).goText == "1.5ms")
        #expect(Duration.nanoseconds(1).goText == "1ns")
        #expect(Duration.zero.goText == "0s")
        #expect(Duration.seconds(-2).goText == "-2s")
    }

    @Test func `a name is a lower-case label`() {
        for good in ["a", "0", "web-1", String(repeating: "a", count: 63)] { #expect(VMName(good)?.text == good) }
        for bad in ["", "-a", "a-", "Web", "a.b", "a_b", "é", String(repeating: "a", count: 64), "a b"] {
            #expect(VMName(bad) == nil, "\(bad)")
        }
        var generator = SeededGenerator(seed: 3)
        let made = VMName.madeUp(using: &generator)
        #expect(made.text.hasPrefix("vm-") && made.text.count == 9)
        #expect(VMName(made.text) == made)
    }

    @Test func `secrets do not describe themselves`() throws {
        let secret = SecretText("tskey-auth-x")
        var dumped = ""
        dump(["\(secret)", "\(VMSecrets(authKey: secret))", String(reflecting: secret)], to: &dumped)
        dump(secret, to: &dumped)
        #expect(!dumped.contains("tskey"))
        var generator = SeededGenerator(seed: 4)
        let webhook = WebhookSecret.random(using: &generator)
        dump(webhook, to: &dumped)
        #expect(!dumped.contains(webhook.reveal()) && !"\(webhook)".contains("whsec"))
        #expect(WebhookSecret(webhook.reveal()) == webhook)
    }

    @Test func `a webhook secret has 24 to 64 octets`() {
        #expect(WebhookSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")?.keyBytes.count == 24)
        #expect(WebhookSecret("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw") == nil)
        #expect(WebhookSecret("whsec_MfKQ9r8GKYqrTwjU") == nil)
        #expect(WebhookSecret("whsec_???") == nil)
        #expect(WebhookSecret(keyBytes: [UInt8](repeating: 1, count: 65)) == nil)
    }
}

@Suite("WebURL") struct WebURLTests {
    @Test func `takes a URL apart`() throws {
        let url = try #require(WebURL("HTTPS://App.Example.com:8443/hooks/login?x=1"))
        #expect(url.text == "https://App.Example.com:8443/hooks/login?x=1")
        #expect(url.scheme == .https && url.host == "app.example.com" && url.port == 8443)
        #expect(url.target == "/hooks/login?x=1" && url.authority == "app.example.com:8443")
        let v6 = try #require(WebURL("http://[::1]?q"))
        #expect(v6.host == "::1" && v6.port == 80 && v6.authority == "[::1]" && v6.target == "/?q")
        #expect(v6.address?.isLoopback == true)
        #expect(WebURL("http://127.0.0.1:9")?.address?.description == "127.0.0.1")
        #expect(WebURL("http://127.0.0.1:9")?.authority == "127.0.0.1:9")
    }

    @Test(arguments: [
        "", "example.com", "ftp://example.com", "http://", "http:///x", "http://user@example.com/", "http://a:b@c/",
        "http://e.com/#f",
        "http://e.com:0/", "http://e.com:65536", "http://e.com:", "http://e.com:8a", "http://[::1", "http://[1.2.3.4]/",
        "http://é.com/",
        "http://e .com", "http://e.com/\r\nX: y", "http://2130706433/", "http://0x7f.1/", "http://127.1/",
        "http://1.2.3.4.5/", "http://-a.com/",
        "http://a..b/", "javascript://x", "http:/e.com", "http://a\\b/", "http://[fe80::1%25eth0]/",
    ])
    func `refuses what it cannot stand for`(text: String) {
        #expect(WebURL(text) == nil)
    }
}
