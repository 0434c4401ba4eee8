// swift-tools-version: 6.2
import PackageDescription

// Feature set of every Swift target; the ground floors add strict memory safety.
let settings: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"), .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"), .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .treatAllWarnings(as: .error),
]
let groundFloorSettings = settings + [.strictMemorySafety()]

// Outside products, by the name they have in the floor table of ARCHITECTURE.md.
let nioCore = Target.Dependency.product(name: "NIOCore", package: "swift-nio")
let nioPosix = Target.Dependency.product(name: "NIOPosix", package: "swift-nio")
let nioHTTP1 = Target.Dependency.product(name: "NIOHTTP1", package: "swift-nio")
let nioWebSocket = Target.Dependency.product(name: "NIOWebSocket", package: "swift-nio")
let nioEmbedded = Target.Dependency.product(name: "NIOEmbedded", package: "swift-nio")
let nioSSL = Target.Dependency.product(name: "NIOSSL", package: "swift-nio-ssl")
let nioTLS = Target.Dependency.product(name: "NIOTLS", package: "swift-nio")
let nioHTTP2 = Target.Dependency.product(name: "NIOHTTP2", package: "swift-nio-http2")
let httpTypes = Target.Dependency.product(name: "HTTPTypes", package: "swift-http-types")
let nioHTTPTypes = Target.Dependency.product(name: "NIOHTTPTypes", package: "swift-nio-extras")
let hummingbird = Target.Dependency.product(name: "Hummingbird", package: "hummingbird")
let hummingbirdCore = Target.Dependency.product(name: "HummingbirdCore", package: "hummingbird")
let hummingbirdTLS = Target.Dependency.product(name: "HummingbirdTLS", package: "hummingbird")
let asyncHTTPClient = Target.Dependency.product(name: "AsyncHTTPClient", package: "async-http-client")
let x509 = Target.Dependency.product(name: "X509", package: "swift-certificates")
let swiftASN1 = Target.Dependency.product(name: "SwiftASN1", package: "swift-asn1")
let crypto = Target.Dependency.product(name: "Crypto", package: "swift-crypto")
let grdb = Target.Dependency.product(name: "GRDB", package: "GRDB.swift")
let yams = Target.Dependency.product(name: "Yams", package: "Yams")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let serviceLifecycle = Target.Dependency.product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let unixSignals = Target.Dependency.product(name: "UnixSignals", package: "swift-service-lifecycle")
let argumentParser = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")
let subprocess = Target.Dependency.product(name: "Subprocess", package: "swift-subprocess")

let package = Package(
    name: "Warren",
    products: [
        .executable(name: "warrend", targets: ["warrend"]),
        .executable(name: "warren", targets: ["warren"]),
        .executable(name: "warren-shim", targets: ["warren-shim"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
        .package(url: "https://github.com/apple/swift-nio-http2", from: "1.46.0"),
        .package(url: "https://github.com/apple/swift-nio-extras", from: "1.35.2"),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1"),
        .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
        .package(url: "https://github.com/apple/swift-certificates", from: "1.21.1"),
        .package(url: "https://github.com/apple/swift-asn1", from: "1.7.4"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/swiftlang/swift-subprocess", from: "1.0.2"),
    ],
    targets: [
        // Floor 0: system libraries and what everything counts in.
        .systemLibrary(name: "CSodium", pkgConfig: "libsodium", providers: [.apt(["libsodium-dev"])]),
        .systemLibrary(name: "CLibCrypto", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "CZstd", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"])]),
        .systemLibrary(name: "CLinux"),
        .target(name: "NetTypes", swiftSettings: groundFloorSettings),
        .target(
            name: "WarrenCrypto",
            dependencies: ["NetTypes", "CSodium", "CLibCrypto"],
            swiftSettings: groundFloorSettings
        ),

        // Floor 1: pure protocols and nouns: no NIO, no sockets, no clock, no logging.
        .target(
            name: "NetWire",
            dependencies: ["NetTypes"],
            swiftSettings: groundFloorSettings
        ),
        .target(
            name: "TCP",
            dependencies: ["NetWire", "NetTypes"],
            swiftSettings: groundFloorSettings
        ),
        .target(
            name: "WireGuard",
            dependencies: ["NetTypes", "WarrenCrypto"],
            swiftSettings: groundFloorSettings
        ),
        .target(
            name: "Disco",
            dependencies: ["NetTypes", "WarrenCrypto"],
            swiftSettings: groundFloorSettings
        ),
        .target(
            name: "Tailcfg",
            dependencies: ["NetTypes", "WarrenCrypto"],
            swiftSettings: groundFloorSettings
        ),
        .target(
            name: "WarrenModel",
            dependencies: ["NetTypes"],
            swiftSettings: groundFloorSettings
        ),

        // Between floors 1 and 2: bringing up a byte stream, for everything that speaks over one.
        .target(
            name: "Transport",
            dependencies: ["NetTypes", nioCore, nioPosix, nioHTTP1, nioSSL, nioWebSocket, crypto],
            swiftSettings: settings
        ),

        // Floor 2: one connection, one process, one database.
        .target(
            name: "DERP",
            dependencies: [
                "Transport", "Tailcfg", "WarrenCrypto", "NetTypes", nioCore, nioPosix, nioHTTP1, nioSSL, nioTLS, x509,
                swiftASN1, logging,
            ],
            swiftSettings: settings
        ),
        .target(
            name: "ControlPlane",
            dependencies: [
                "Transport", "Tailcfg", "WarrenCrypto", "NetTypes", "CZstd", nioCore, nioPosix, nioHTTP1, nioSSL,
                nioTLS, nioHTTP2, nioEmbedded, logging,
            ],
            swiftSettings: settings
        ),
        .target(
            name: "GuestNetwork",
            dependencies: ["NetWire", "TCP", "NetTypes", nioCore],
            swiftSettings: settings
        ),
        .target(
            name: "QEMU",
            dependencies: ["WarrenModel", "CLinux", nioCore, nioPosix, subprocess, logging],
            swiftSettings: settings
        ),
        .target(
            name: "Store",
            dependencies: ["WarrenModel", "WarrenCrypto", "NetTypes", grdb, logging],
            swiftSettings: settings
        ),

        // Floor 3: paths and deliveries.
        .target(
            name: "Magicsock",
            dependencies: [
                "Transport", "DERP", "Disco", "Tailcfg", "NetWire", "NetTypes", "WarrenCrypto", nioCore, nioPosix,
                logging,
            ],
            swiftSettings: settings
        ),
        .target(
            name: "Webhooks",
            dependencies: [
                "Store", "WarrenModel", "WarrenCrypto", "NetTypes", asyncHTTPClient, nioCore,
                nioPosix, nioHTTP1, logging, serviceLifecycle,
            ],
            swiftSettings: settings
        ),

        // Floor 4: one node; one coordination server.
        .target(
            name: "Tailnet",
            dependencies: [
                "Transport", "Magicsock", "ControlPlane", "GuestNetwork", "NetWire", "TCP", "WireGuard", "Tailcfg",
                "NetTypes", "WarrenCrypto", "WarrenModel", nioCore, nioPosix, nioHTTP1, nioSSL, nioEmbedded, logging,
            ],
            swiftSettings: settings
        ),
        .target(
            name: "Coordination",
            dependencies: [
                "Transport", "ControlPlane", "DERP", "Tailcfg", "NetWire", "NetTypes", "WarrenCrypto",
                "WarrenModel", "Store", nioCore, nioPosix, nioHTTP1, nioHTTP2, nioSSL, nioWebSocket, x509, swiftASN1,
                crypto, logging, serviceLifecycle,
            ],
            swiftSettings: settings
        ),

        // Floor 5: one driver per VM.
        .target(
            name: "VirtualMachines",
            dependencies: [
                "Tailnet", "QEMU", "Store", "WarrenModel", "NetTypes", "WarrenCrypto", nioCore,
                logging, serviceLifecycle,
            ],
            swiftSettings: settings
        ),

        // Floor 6: the HTTP contract.
        .target(
            name: "WarrenAPI",
            dependencies: [
                "VirtualMachines", "Coordination", "Store", "WarrenModel", "NetTypes",
                "WarrenCrypto", hummingbird, hummingbirdCore, hummingbirdTLS, nioCore, nioPosix, nioSSL, nioHTTP1,
                httpTypes, nioHTTPTypes, yams, logging, serviceLifecycle,
            ],
            resources: [.embedInCode("Resources/warren.yaml")],
            swiftSettings: settings
        ),

        // Floor 7: reads the configuration, builds everything once, runs it.
        .target(
            name: "WarrenDaemon",
            dependencies: [
                "Transport", "WarrenAPI", "VirtualMachines", "Coordination", "Tailnet", "Webhooks", "Store",
                "QEMU", "ControlPlane", "Tailcfg", "WarrenModel", "WarrenCrypto", "NetTypes", yams, nioCore,
                nioPosix, nioSSL, logging, serviceLifecycle, unixSignals,
            ],
            swiftSettings: settings
        ),

        // Floor 8, and the shim beside the house.
        .executableTarget(
            name: "warrend",
            dependencies: ["WarrenDaemon", "WarrenModel", argumentParser],
            swiftSettings: settings
        ),
        .executableTarget(
            name: "warren",
            dependencies: ["WarrenModel", argumentParser, asyncHTTPClient, nioCore, nioPosix, nioHTTP1],
            swiftSettings: settings
        ),
        .executableTarget(name: "warren-shim"),

        // Tests: one target a module, the walks through the whole house, and what they share.
        .target(name: "TestSupport", path: "Tests/TestSupport", swiftSettings: settings),
        .target(
            name: "LoopbackSupport",
            dependencies: ["NetTypes", nioCore, nioPosix, nioSSL, x509, swiftASN1, crypto],
            path: "Tests/LoopbackSupport",
            swiftSettings: settings
        ),
        .testTarget(
            name: "NetTypesTests",
            dependencies: ["NetTypes"],
            swiftSettings: settings
        ),
        .testTarget(
            name: "WarrenCryptoTests",
            dependencies: ["WarrenCrypto", "NetTypes", "TestSupport"],
            resources: [.copy("Vectors")],
            swiftSettings: settings
        ),
        .testTarget(
            name: "NetWireTests",
            dependencies: ["NetWire", "NetTypes", "TestSupport"],
            resources: [.copy("Vectors")],
            swiftSettings: settings
        ),
        .testTarget(
            name: "TCPTests",
            dependencies: ["TCP", "NetWire", "NetTypes", nioCore, nioPosix],
            swiftSettings: settings
        ),
        .testTarget(
            name: "WireGuardTests",
            dependencies: ["WireGuard", "NetTypes", "WarrenCrypto", "TestSupport"],
            resources: [.copy("Vectors")],
            swiftSettings: settings
        ),
        .testTarget(
            name: "DiscoTests",
            dependencies: ["Disco", "NetTypes", "WarrenCrypto", "TestSupport"],
            resources: [.copy("Vectors")],
            swiftSettings: settings
        ),
        .testTarget(
            name: "TailcfgTests",
            dependencies: ["Tailcfg", "NetTypes", "WarrenCrypto", "TestSupport"],
            resources: [.copy("Vectors")],
            swiftSettings: settings
        ),
        .testTarget(
            name: "WarrenModelTests",
            dependencies: ["WarrenModel", "NetTypes"],
            swiftSettings: settings
        ),
        .testTarget(
            name: "TransportTests",
            dependencies: [
                "Transport", "NetTypes", nioCore, nioPosix, nioHTTP1, nioSSL, nioWebSocket, nioEmbedded,
                "LoopbackSupport",
            ],
            swiftSettings: settings
        ),
        .testTarget(
            name: "DERPTests",
            dependencies: [
                "DERP", "Transport", "Tailcfg", "WarrenCrypto", "NetTypes", nioCore, nioPosix, nioHTTP1, nioSSL,
                nioWebSocket, logging, "LoopbackSupport", "TestSupport",
            ],
            resources: [.copy("Vectors")],
            swiftSettings: settings
        ),
        .testTarget(
            name: "ControlPlaneTests",
            dependencies: [
                "ControlPlane", "Transport", "Tailcfg", "WarrenCrypto", "NetTypes", nioCore, nioPosix, nioHTTP1,
                nioSSL, nioHTTP2, nioWebSocket, logging, nioEmbedded, "LoopbackSupport", "TestSupport",
            ],
            resources: [.copy("Vectors")],
            swiftSettings: settings
        ),
        .testTarget(
            name: "GuestNetworkTests",
            dependencies: ["GuestNetwork", "NetWire", "TCP", "NetTypes", nioCore, nioPosix, "TestSupport"],
            resources: [.copy("Vectors")],
            swiftSettings: settings
        ),
        .testTarget(
            name: "QEMUTests",
            dependencies: [
                "QEMU", "GuestNetwork", "NetWire", "NetTypes", "WarrenModel", nioCore, nioPosix, logging, "TestSupport",
            ],
            swiftSettings: settings
        ),
        .testTarget(
            name: "StoreTests",
            dependencies: ["Store", "WarrenModel", "WarrenCrypto", grdb, logging],
            swiftSettings: settings
        ),
        .testTarget(
            name: "MagicsockTests",
            dependencies: [
                "Magicsock", "Disco", "Tailcfg", "NetWire", "NetTypes", "WarrenCrypto", nioCore, nioPosix, logging,
                "TestSupport",
            ],
            resources: [.copy("Vectors")],
            swiftSettings: settings
        ),
        .testTarget(
            name: "WebhooksTests",
            dependencies: [
                "Webhooks", "Store", "WarrenModel", "NetTypes", nioCore, nioPosix, nioHTTP1, logging,
                serviceLifecycle,
            ],
            swiftSettings: settings
        ),
        .testTarget(
            name: "TailnetTests",
            dependencies: [
                "Tailnet", "Magicsock", "GuestNetwork", "NetWire", "TCP", "Tailcfg", "NetTypes", "WarrenCrypto",
                "WarrenModel",
                nioCore, nioPosix, nioHTTP1, nioSSL, nioEmbedded, logging, "TestSupport", "LoopbackSupport",
            ],
            resources: [.copy("Vectors")],
            swiftSettings: settings
        ),
        .testTarget(
            name: "CoordinationTests",
            dependencies: [
                "Coordination", "ControlPlane", "DERP", "Tailcfg", "NetWire", "NetTypes",
                "WarrenCrypto", "WarrenModel", "Store", nioCore, nioPosix, nioSSL, logging,
                serviceLifecycle, "TestSupport",
            ],
            resources: [.copy("Vectors")],
            swiftSettings: settings
        ),
        .testTarget(
            name: "VirtualMachinesTests",
            dependencies: [
                "VirtualMachines", "Tailnet", "QEMU", "Store", "WarrenModel", "NetTypes", "WarrenCrypto", nioCore,
                nioPosix, logging, "TestSupport",
            ],
            swiftSettings: settings
        ),
        .testTarget(
            name: "WarrenAPITests",
            dependencies: [
                "WarrenAPI", "VirtualMachines", "Coordination", "Store", "Tailcfg", "WarrenModel", "WarrenCrypto",
                "NetTypes", hummingbird, asyncHTTPClient, nioCore, nioPosix, nioHTTP1, httpTypes, logging,
                serviceLifecycle,
            ],
            swiftSettings: settings
        ),
        .testTarget(
            name: "WarrenDaemonTests",
            dependencies: ["WarrenDaemon", "Store", "WarrenModel", "NetTypes", logging],
            swiftSettings: settings
        ),
        .testTarget(
            name: "IntegrationTests",
            dependencies: [
                "warrend", "warren", "warren-shim", "WarrenModel", "WarrenCrypto", "NetTypes", "TestSupport",
                asyncHTTPClient, nioCore, nioPosix, nioHTTP1,
            ],
            swiftSettings: settings
        ),
        // Nodes against the real coordination server: two towers of the same floor, joined in no target of the house below the daemon.
        .testTarget(
            name: "NodeOnServerTests",
            dependencies: [
                "Tailnet", "Coordination", "GuestNetwork", "Tailcfg", "Store", "WarrenModel", "WarrenCrypto",
                "NetTypes",
                nioCore, nioPosix, logging, "TestSupport",
            ],
            resources: [.copy("Guests")],
            swiftSettings: settings
        ),
        // Networks of namespaces, made and removed by the tests, with this house's nodes and others' programs in them.
        .executableTarget(
            name: "path-probe",
            dependencies: [
                "Tailnet", "Coordination", "ControlPlane", "Magicsock", "WireGuard", "GuestNetwork", "Tailcfg", "Store",
                "WarrenModel", "WarrenCrypto", "NetTypes", nioCore, nioPosix, logging,
            ],
            path: "Tests/PathProbe",
            swiftSettings: settings
        ),
        .testTarget(
            name: "NamespaceTests",
            dependencies: ["path-probe", "TestSupport"],
            swiftSettings: settings
        ),
        .target(name: "AllocationCounter", path: "Tests/AllocationCounter"),
        .executableTarget(
            name: "warren-bench",
            dependencies: [
                "Tailnet", "Magicsock", "GuestNetwork", "WireGuard", "NetWire", "Tailcfg", "WarrenCrypto", "NetTypes",
                "CLibCrypto", "Coordination", "ControlPlane", "Store", "WarrenModel", nioCore, nioPosix, nioHTTP1,
                nioEmbedded, logging, serviceLifecycle, unixSignals, "AllocationCounter",
            ],
            path: "Tests/Benchmarks",
            swiftSettings: settings
        ),
    ]
)
