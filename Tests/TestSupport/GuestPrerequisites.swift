import Foundation

/// What tests with real guests need, and whether it is here.
package enum GuestPrerequisites {
    /// QEMU, or nil.
    package static let qemu: String? = ["/usr/bin", "/usr/local/bin"].map { "\($0)/qemu-system-x86_64" }
        .first { FileManager.default.isExecutableFile(atPath: $0) }

    /// `warren-shim` as built beside the tests, or nil.
    package static let shim: String? = {
        let runner = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
        return [runner.path, "\(packageRoot)/.build/debug"].map { "\($0)/warren-shim" }
            .first { FileManager.default.isExecutableFile(atPath: $0) }
    }()

    /// Whether guests can run; tests with guests are `.enabled(if:)` this.
    package static let areMet = qemu != nil && shim != nil

    /// The package's own folder.
    package static let packageRoot = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().path

    /// The folder of images that holds `micro`: `WARREN_TEST_IMAGES`, or one built into `.build/images` when first asked for.
    package static let images: Result<String, any Error> = Result {
        if let given = ProcessInfo.processInfo.environment["WARREN_TEST_IMAGES"], !given.isEmpty { return given }
        let folder = "\(packageRoot)/.build/images"
        let build = Process()
        build.executableURL = URL(fileURLWithPath: "\(packageRoot)/deploy/images/micro/build.sh")
        build.arguments = [folder]
        build.standardOutput = FileHandle.nullDevice
        try build.run()
        build.waitUntilExit()
        guard FileManager.default.fileExists(atPath: "\(folder)/micro/image.json") else {
            throw CocoaError(.fileNoSuchFile)
        }
        return folder
    }

    /// An empty folder for one test, removed by the test.
    package static func temporaryFolder(_ name: String = "warren-test") throws -> String {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(
            "\(name).\(UUID().uuidString.prefix(8))"
        )
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        return folder.path
    }
}

/// Lets as many tests with guests run at once as there are processors: more would only starve each other.
package actor GuestSlots {
    /// The slots of this process.
    package static let shared = GuestSlots(count: max(1, ProcessInfo.processInfo.activeProcessorCount))

    private var free: Int
    private var waiting: [CheckedContinuation<Void, Never>] = []

    private init(count: Int) { free = count }

    /// Runs `body` when a slot is free.
    package nonisolated func run<Value>(_ body: () async throws -> Value) async rethrows -> Value {
        await take()
        do {
            let value = try await body()
            await give()
            return value
        } catch {
            await give()
            throw error
        }
    }

    private func take() async {
        if free > 0 {
            free -= 1
        } else {
            await withCheckedContinuation { waiting.append($0) }
        }
    }

    private func give() {
        if waiting.isEmpty { free += 1 } else { waiting.removeFirst().resume() }
    }
}
