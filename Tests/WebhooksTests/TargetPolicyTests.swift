import NetTypes
import Testing
import WarrenModel
import Webhooks

@Suite("TargetPolicy") struct TargetPolicyTests {
    private static let outward: [DialPurpose] = [.webhook, .image]
    private static let tailnet: [DialPurpose] = [.control, .derp, .stun, .resolver, .disco]

    private func address(_ text: String) throws -> IPAddress { try #require(IPAddress(text)) }

    @Test(arguments: [
        "169.254.169.254", "169.254.0.1", "0.0.0.0", "0.1.2.3", "224.0.0.1", "255.255.255.255", "240.0.0.1",
        "100.100.100.200",
        "168.63.129.16", "::", "fe80::1", "ff02::1", "fd00:ec2::254", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::1", "::169.254.169.254",
    ])
    func `never goes there, listed or not`(text: String) throws {
        let lists = [[], ["0.0.0.0/0", "::/0", "169.254.0.0/16", "fe80::/10"].compactMap { IPPrefix($0) }]
        for list in lists {
            let policy = TargetPolicy(allowedNetworks: list, controlIsOnLoopback: true)
            for purpose in DialPurpose.allCases {
                #expect(try !policy.permits(address(text), for: purpose), "\(purpose)")
            }
        }
    }

    @Test(arguments: ["127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1"])
    func `loopback only where it is named`(text: String) throws {
        let address = try address(text)
        for purpose in DialPurpose.allCases { #expect(!TargetPolicy().permits(address, for: purpose)) }
        let listed = TargetPolicy(allowedNetworks: ["127.0.0.0/8", "::1/128"].compactMap { IPPrefix($0) })
        for purpose in Self.outward { #expect(listed.permits(address, for: purpose)) }
        for purpose in Self.tailnet { #expect(!listed.permits(address, for: purpose)) }
        let local = TargetPolicy(controlIsOnLoopback: true)
        for purpose in Self.outward { #expect(!local.permits(address, for: purpose)) }
        for purpose in Self.tailnet { #expect(local.permits(address, for: purpose)) }
    }

    @Test(arguments: [
        "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "100.127.255.255", "fd7a:115c:a1e0::1",
        "fc00::1",
        "198.18.0.1", "192.0.2.1", "2001:db8::1", "::ffff:10.0.0.1", "2002:0a00:0001::1", "64:ff9b::c0a8:101",
    ])
    func `private ranges are for tailnets`(text: String) throws {
        let address = try address(text)
        for purpose in Self.outward { #expect(!TargetPolicy().permits(address, for: purpose)) }
        for purpose in Self.tailnet { #expect(TargetPolicy().permits(address, for: purpose)) }
    }

    @Test func `listed ranges are open to webhooks, in every notation`() throws {
        let policy = TargetPolicy(allowedNetworks: ["10.1.0.0/16", "fd00:1::/32"].compactMap { IPPrefix($0) })
        for good in ["10.1.2.3", "::ffff:10.1.2.3", "fd00:1::5"] {
            #expect(try policy.permits(address(good), for: .webhook))
        }
        for bad in ["10.2.0.1", "fd00:2::5", "127.0.0.1"] { #expect(try !policy.permits(address(bad), for: .webhook)) }
    }

    @Test(arguments: [
        "1.1.1.1", "8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "::ffff:1.1.1.1", "2002:0101:0101::1",
    ])
    func `the public internet is open`(text: String) throws {
        for purpose in DialPurpose.allCases { #expect(try TargetPolicy().permits(address(text), for: purpose)) }
    }

    @Test func `a foreign control server opens no loopback, whatever the default one is`() throws {
        let policy = TargetPolicy(controlIsOnLoopback: true)
        for purpose in [DialPurpose.control, .derp, .stun, .disco, .resolver] {
            #expect(try !policy.forControl(ofThisHost: false).permits(address("127.0.0.1"), for: purpose))
            #expect(try policy.forControl(ofThisHost: true).permits(address("127.0.0.1"), for: purpose))
            #expect(try policy.forControl(ofThisHost: false).permits(address("10.0.0.1"), for: purpose))
        }
        #expect(try !policy.forControl(ofThisHost: true).permits(address("127.0.0.1"), for: .webhook))
    }

    @Test func `URLs are judged before anything is looked up`() throws {
        func refusal(_ text: String, _ policy: TargetPolicy, _ purpose: DialPurpose) throws -> Bool {
            policy.refusal(of: try #require(WebURL(text)), for: purpose) != nil
        }
        let strict = TargetPolicy()
        let demo = TargetPolicy(
            allowedNetworks: ["127.0.0.0/8"].compactMap { IPPrefix($0) },
            allowsHTTP: true,
            controlIsOnLoopback: true
        )
        #expect(try !refusal("https://hooks.example.com/", strict, .webhook))
        #expect(try refusal("http://hooks.example.com/", strict, .webhook))
        #expect(try refusal("https://10.0.0.1/", strict, .webhook))
        #expect(try refusal("https://[::1]/", strict, .webhook))
        #expect(try !refusal("http://127.0.0.1:9/", demo, .webhook))
        #expect(try refusal("http://169.254.169.254/", demo, .webhook))
        #expect(try !refusal("http://127.0.0.1:7081", demo, .control))
        #expect(try !refusal("http://localhost:7081", demo, .control))
        #expect(try refusal("http://hs.example.com", demo, .control))
        #expect(try !refusal("https://10.0.0.5", strict, .control))
        #expect(
            try refusal("http://127.0.0.1", TargetPolicy(plainControl: .never, controlIsOnLoopback: true), .control)
        )
        #expect(try !refusal("http://hs.example.com", TargetPolicy(plainControl: .always), .control))
    }
}
