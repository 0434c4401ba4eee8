import Foundation

/// What this machine has for tests with real guests.
enum TestEnvironment {
    /// The folder with the binaries of this build, beside the test bundle.
    static let binaries: URL = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent()

    /// A product of this build.
    static func binary(_ name: String) -> URL { binaries.appendingPathComponent(name) }

    /// The images that `make image` built; nil without them.
    static let images: URL? = {
        guard let path = ProcessInfo.processInfo.environment["WARREN_TEST_IMAGES"],
            FileManager.default.fileExists(atPath: path + "/micro/image.json")
        else { return nil }
        return URL(fileURLWithPath: path)
    }()

    /// Whether real guests can run.
    static let hasGuests =
        images != nil && FileManager.default.isExecutableFile(atPath: "/usr/bin/qemu-system-x86_64")
}
