import Logging
import ServiceLifecycle
import Store
import WarrenModel

/// Logs the nodes of deleted VMs out of their tailnets: durable jobs, retried for a week.
package struct NodeCleanup: Service {
    private let host: VMHost

    /// A service over the jobs of this host.
    package init(host: VMHost) {
        self.host = host
    }

    /// Works until the task is cancelled or the service group shuts down.
    package func run() async throws {
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                let level = host.database.logoutLevel
                await workOnce()
                await waitForWork(after: level)
            }
        }
    }

    private func workOnce() async {
        do {
            let jobs = try await host.database.dueLogouts(now: host.now, limit: Self.jobsAtOnce)
            // One control server that does not answer holds up its own nodes, not those of others.
            let servers = Dictionary(grouping: jobs, by: \.identity.control)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for (index, jobs) in servers.values.enumerated() {
                    if index >= Self.serversAtOnce { try await group.next() }
                    group.addTask { try await work(off: jobs) }
                }
                try await group.waitForAll()
            }
            try await host.database.purgeDeletedVMs(before: host.now + .seconds(-86_400))
        } catch {
            // What the end of the daemon interrupts is done by the next one.
            guard !Task.isCancelled else { return }
            host.logger.error("clean-up not written", metadata: ["error": "\(error)"])
            try? await ContinuousClock().sleep(for: .seconds(5))
        }
    }

    /// Does the jobs of one control server; when one fails, the rest wait as long as it does.
    ///
    /// In any order, so that one job that always fails does not stand before the others for ever.
    private func work(off jobs: [NodeLogoutRecord]) async throws {
        var failure: NodeLogoutOutcome?
        for job in jobs.shuffled() {
            guard !Task.isCancelled else { return }
            var outcome = failure ?? .done
            if failure == nil {
                outcome = await attempt(job)
                if case .retry = outcome { failure = outcome }
            }
            try await host.database.finishLogout(job.id, outcome, now: host.now)
        }
    }

    /// More servers at a time would only crowd the host.
    private static let serversAtOnce = 8
    private static let jobsAtOnce = 128

    private func attempt(_ job: NodeLogoutRecord) async -> NodeLogoutOutcome {
        var logger = host.logger
        logger[metadataKey: "vm-id"] = "\(job.vmID)"
        do {
            try await host.nodes.logout(job.identity)
            logger.info("node logged out")
            return .done
        } catch {
            let now = host.now
            guard now - job.createdAt < WarrenDatabase.logoutPatience else {
                logger.error("node not logged out; keys wiped", metadata: ["error": "\(error)"])
                return .gaveUp(error: "\(error)")
            }
            logger.warning(
                "node not logged out yet",
                metadata: ["error": "\(error)", "attempts": "\(job.attempts + 1)"]
            )
            return .retry(at: now + Self.pause(afterAttempts: job.attempts + 1), error: "\(error)")
        }
    }

    private func waitForWork(after level: Int64) async {
        let next = try? await host.database.nextLogout()
        let pause = min(max(next.map { $0 - host.now } ?? Self.longestPause, .zero), Self.longestPause)
        await withTaskGroup(of: Void.self) { group in
            group.addTask { _ = await host.database.waitForLogouts(after: level) }
            group.addTask { try? await ContinuousClock().sleep(for: pause) }  // Cancelled when a job comes first.
            await group.next()
            group.cancelAll()
        }
    }

    /// An hour at the most: also how often rows of VMs deleted a day ago are looked for.
    private static let longestPause: Duration = .seconds(3600)

    /// 1, 2, 4 … seconds, an hour at the most.
    static func pause(afterAttempts count: Int) -> Duration {
        min(.seconds(1 << min(count, 12)), longestPause)
    }
}
