import FoundationEssentials
import Glibc
package import Logging
package import NIOCore
import NetTypes
import QEMU
import ServiceLifecycle
import WarrenModel

/// The saved guests of this host: finds one that fits, and makes those that are asked for, one at a time.
package actor TemplateLibrary: Service {
    /// Where templates are kept, and how much of them.
    package struct Configuration: Hashable, Sendable {
        /// The folder of all templates.
        package var directory: String
        /// `warren-shim`, as an absolute path.
        package var shim: String
        /// What all of them may take on disk.
        package var maxSizeMiB: Int
        /// How long one is kept that nobody uses.
        package var maxAge: Duration

        /// Joins the parts.
        package init(directory: String, shim: String, maxSizeMiB: Int, maxAge: Duration) {
            self.directory = directory
            self.shim = shim
            self.maxSizeMiB = maxSizeMiB
            self.maxAge = maxAge
        }
    }

    private enum Entry {
        /// It is being looked for on disk.
        case loading(Task<Template?, Never>)
        /// It waits to be made, or is being made.
        case wanted
        /// Copies can be made.
        case ready(Template)
        /// It is not tried again before then.
        case bad(until: ContinuousClock.Instant)
    }

    private struct Order {
        let template: Template
        let launch: QEMULaunch
        let builder: TemplateBuilder
    }

    private let configuration: Configuration
    private let group: any EventLoopGroup
    private let logger: Logger
    private let clock = ContinuousClock()
    private var entries: [String: Entry] = [:]
    private var lastUse: [String: ContinuousClock.Instant] = [:]
    private var orders: [Order] = []
    private let changes = LevelSignal()

    /// So that the guest that asked first has the processors for itself.
    private static let patience = Duration.seconds(3)
    /// A shape that could not be saved may be a matter of the moment, such as a full disk.
    private static let badTime = Duration.seconds(600)
    /// More shapes at once than this wait for another occasion.
    private static let orderLimit = 8

    /// A library over a folder that need not exist yet.
    package init(configuration: Configuration, group: any EventLoopGroup, logger: Logger) {
        self.configuration = configuration
        self.group = group
        self.logger = logger
    }

    /// Makes what is asked for until the task is cancelled or the service group shuts down.
    ///
    /// Then the memories are let go: they are on disk as well. After a crash they stay, and are taken up again.
    package func run() async {
        await cancelWhenGracefulShutdown {
            await self.removeOld()
            while !Task.isCancelled {
                let level = self.changes.level
                await self.buildNext()
                await self.waitForOrder(after: level)
            }
        }
        for folder in folders() {
            if Self.lastUse(of: folder) == nil {
                await remove(folder)
            } else if let directory = try? VMDirectory(path: folder) {
                await MemoryHolder(of: directory).end(group: group)
            }
        }
        entries.removeAll()
    }

    /// The template for guests of `shape`, when there is one.
    func template(for shape: TemplateShape) async -> Template? {
        let key = shape.key
        switch entries[key] {
        case .wanted: return nil
        case .bad(let until):
            guard clock.now >= until else { return nil }
            entries[key] = nil
            return nil
        case .loading(let task): return await task.value
        case .ready(let template):
            guard MemoryHolder.isAlive(for: template) else { return await load(shape, key: key) }
            lastUse[key] = clock.now
            return template
        case nil: return await load(shape, key: key)
        }
    }

    /// Asks for a template of guests that are launched like this.
    func request(_ shape: TemplateShape, launch: QEMULaunch, process: QEMUProcess.Configuration, user: QEMUUser) {
        let key = shape.key
        guard entries[key] == nil, orders.count < Self.orderLimit else { return }
        entries[key] = .wanted
        let template = Template(shape: shape, folder: "\(configuration.directory)/\(key)")
        let builder = TemplateBuilder(process: process, user: user, group: group)
        orders.append(Order(template: template, launch: launch, builder: builder))
        changes.raise()
    }

    /// Gives up a template whose copies do not run.
    func reject(_ template: Template, because reason: String) async {
        let key = template.shape.key
        logger.warning("template rejected", metadata: ["template": "\(key)", "reason": "\(reason)"])
        entries[key] = .bad(until: clock.now + Self.badTime)
        await remove(template.folder)
    }

    // MARK: From disk

    private func load(_ shape: TemplateShape, key: String) async -> Template? {
        let template = Template(shape: shape, folder: "\(configuration.directory)/\(key)")
        guard access(template.manifestPath, F_OK) == 0 else {
            entries[key] = nil
            return nil
        }
        let shim = configuration.shim
        let logger = logger
        let task = Task { () -> Template? in
            do {
                try await Self.open(template, shim: shim)
                return template
            } catch {
                logger.warning(
                    "template not used",
                    metadata: ["template": "\(key)", "reason": "\(TemplateError(error).message)"]
                )
                return nil
            }
        }
        entries[key] = .loading(task)
        guard let loaded = await task.value else {
            await remove(template.folder)
            entries[key] = nil
            return nil
        }
        entries[key] = .ready(loaded)
        lastUse[key] = clock.now
        return loaded
    }

    /// Checks that a template is whole, and has its memory held.
    @concurrent
    private static func open(_ template: Template, shim: String) async throws {
        let text = try Data(contentsOf: URL(filePath: template.manifestPath))
        let manifest = try JSONDecoder().decode(TemplateManifest.self, from: text)
        guard manifest.format == TemplateManifest.currentFormat, manifest.shape == template.shape else {
            throw TemplateError(message: "It is of another shape.")
        }
        guard FileDigest.sha256(path: template.statePath) == manifest.stateSHA256 else {
            throw TemplateError(message: "The file state is damaged.")
        }
        let holder = MemoryHolder(of: try VMDirectory(path: template.folder))
        // What a shim holds is sealed; what lies on disk is not.
        guard !holder.isAlive else { return }
        guard FileDigest.sha256(path: template.memoryPath) == manifest.memorySHA256 else {
            throw TemplateError(message: "The file memory is damaged.")
        }
        try await holder.start(shim: shim, memoryMiB: template.shape.memoryMiB)
        // Touched, so that its age counts from its last use.
        _ = utimes(template.manifestPath, nil)
    }

    // MARK: Making

    private func buildNext() async {
        guard let order = orders.first, (try? await clock.sleep(for: Self.patience)) != nil else { return }
        let key = order.template.shape.key
        let started = clock.now
        do {
            guard mkdir(configuration.directory, 0o700) == 0 || errno == EEXIST else {
                throw TemplateError(path: configuration.directory, errno: errno)
            }
            try await order.builder.build(order.template, from: order.launch)
            entries[key] = .ready(order.template)
            lastUse[key] = clock.now
            logger.info("template saved", metadata: ["template": "\(key)", "duration": "\(clock.now - started)"])
            await evict(keeping: key)
        } catch {
            // The end of the daemon is no fault of the template.
            guard !Task.isCancelled else { return }
            entries[key] = .bad(until: clock.now + Self.badTime)
            logger.warning(
                "template not saved",
                metadata: ["template": "\(key)", "reason": "\(TemplateError(error).message)"]
            )
        }
        orders.removeFirst()
    }

    private func waitForOrder(after level: Int64) async {
        guard orders.isEmpty else { return }
        await changes.wait(above: level)
    }

    // MARK: Making room

    private func removeOld() async {
        let limit = Date(timeIntervalSinceNow: -configuration.maxAge.seconds)
        for folder in folders() {
            let used = Self.lastUse(of: folder)
            if used == nil || used.map({ $0 < limit }) == true { await remove(folder) }
        }
    }

    /// Removes those that were not used for longest until the rest fits.
    private func evict(keeping key: String) async {
        var sizes: [(folder: String, used: Date, byteCount: Int64)] = folders().map { folder in
            (folder, Self.lastUse(of: folder) ?? .distantPast, Self.allocatedBytes(of: folder))
        }
        sizes.sort { $0.used < $1.used }
        var total = sizes.reduce(0) { $0 + $1.byteCount }
        for (folder, _, byteCount) in sizes where total > Int64(configuration.maxSizeMiB) << 20 {
            let name = String(folder.split(separator: "/").last ?? "")
            guard name != key else { continue }
            entries[name] = nil
            await remove(folder)
            total -= byteCount
        }
    }

    private func remove(_ folder: String) async {
        // A daemon that was killed while it saved a guest has left that behind.
        if let guest = try? VMDirectory(path: folder + "/guest"),
            let process = try? await QEMUProcess.attach(to: guest, group: group)
        {
            process.kill()
            _ = await process.exit()
        }
        if let directory = try? VMDirectory(path: folder) { await MemoryHolder(of: directory).end(group: group) }
        if let left = DirectoryRemoval.remove(folder) {
            logger.warning("template not removed", metadata: ["path": "\(left)"])
        }
    }

    private func folders() -> [String] {
        // A folder that is missing holds none.
        let names = (try? FileManager.default.contentsOfDirectory(atPath: configuration.directory)) ?? []
        return names.map { configuration.directory + "/" + $0 }
    }

    private static func lastUse(of folder: String) -> Date? {
        let attributes = try? FileManager.default.attributesOfItem(atPath: folder + "/template.json")
        return attributes?[.modificationDate] as? Date
    }

    private static func allocatedBytes(of folder: String) -> Int64 {
        ["memory", "state"].reduce(0) { $0 + (FileIdentity.allocatedBytes(path: folder + "/" + $1) ?? 0) }
    }
}

extension MemoryHolder {
    fileprivate static func isAlive(for template: Template) -> Bool {
        (try? VMDirectory(path: template.folder))?.isAlive ?? false
    }
}

extension Duration {
    fileprivate var seconds: Double { Double(components.seconds) }
}
