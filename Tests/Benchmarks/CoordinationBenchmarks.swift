import Dispatch
import Foundation

/// A tailnet of light clients on one server: how fast all hear of a join, what the server needs, and how all come back.
let coordinationBenchmarks = [
    Benchmark(name: "join_1000") { waitFor { await measureJoin() } },
    Benchmark(name: "reconnect_storm") { waitFor { await measureStorm() } },
]

/// Runs asynchronous work to its end.
private func waitFor(_ body: @escaping @Sendable () async -> [Measurement]) -> [Measurement] {
    let done = DispatchSemaphore(value: 0)
    let result = Box()
    Task {
        result.measurements = await body()
        done.signal()
    }
    done.wait()
    return result.measurements
}

/// Written before the semaphore is signalled and read after it was waited for.
private final class Box: @unchecked Sendable {
    var measurements: [Measurement] = []
}

private let clock = ContinuousClock()

/// A state directory for the time of `body`.
private func withStateDirectory<Result>(_ body: (String) async -> Result) async -> Result {
    let path = NSTemporaryDirectory() + "warren-bench-\(UUID().uuidString)"
    // A directory that cannot be made shows when the server opens it.
    try? FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    // What is left over is in the directory for such things.
    defer { try? FileManager.default.removeItem(atPath: path) }
    return await body(path)
}

/// Waits until `isDone`, at most two minutes.
private func wait(until isDone: () -> Bool) async {
    let end = clock.now + .seconds(120)
    // Nobody cancels a benchmark.
    while !isDone(), clock.now < end { try? await Task.sleep(for: .milliseconds(5)) }
}

private func measureJoin() async -> [Measurement] {
    await withStateDirectory { directory in
        let server = CoordinationProcess(stateDirectory: directory, port: 0)
        defer { server.stop() }
        let authKey = server.authKey
        let clients = (0..<1000).map { LightClient("node-\($0)", url: server.url, wanted: "newcomer") }
        let newcomer = LightClient("newcomer", url: server.url, wanted: "nobody")
        return await withTaskGroup(of: Void.self) { group in
            let begin = clock.now
            for client in clients { group.addTask { await client.run(authKey: authKey) } }
            await wait { clients.allSatisfy { $0.mapCount > 0 } }
            let joined = clock.now - begin
            // Until the last of a thousand announcements is written.
            try? await Task.sleep(for: .seconds(2))
            let memory = server.residentMiB
            let start = clock.now
            group.addTask { await newcomer.run(authKey: authKey) }
            await wait { clients.allSatisfy { $0.heard != nil } }
            let heard = clients.compactMap(\.heard)
            precondition(heard.count == clients.count, "\(clients.count - heard.count) nodes never heard of a join")
            let last = (heard.max() ?? start) - start
            group.cancelAll()
            return [
                Measurement(name: "join_1000_ms", value: last / .milliseconds(1), unit: "ms"),
                Measurement(name: "join_1000_all_s", value: joined / .seconds(1), unit: "s"),
                Measurement(name: "coordination_1000_rss_mib", value: memory, unit: "MiB"),
            ]
        }
    }
}

private func measureStorm() async -> [Measurement] {
    await withStateDirectory { directory in
        let first = CoordinationProcess(stateDirectory: directory, port: 0)
        let authKey = first.authKey
        let port = Int(first.url.split(separator: ":").last ?? "") ?? 0
        let clients = (0..<500).map { LightClient("node-\($0)", url: first.url, wanted: "nobody") }
        return await withTaskGroup(of: Void.self) { group in
            for client in clients { group.addTask { await client.run(authKey: authKey) } }
            await wait { clients.allSatisfy { $0.mapCount > 0 } }
            try? await Task.sleep(for: .seconds(1))
            let before = clients.map(\.mapCount)
            let begin = clock.now
            first.stop()
            let stopped = clock.now - begin
            let second = CoordinationProcess(stateDirectory: directory, port: port)
            defer { second.stop() }
            let start = clock.now
            await wait { zip(clients, before).allSatisfy { client, count in client.mapCount > count } }
            let times = clients.map { client in (client.lastMap - start) / .seconds(1) }.sorted()
            group.cancelAll()
            return [
                Measurement(name: "reconnect_storm_s", value: times.last ?? 0, unit: "s", digits: 2),
                Measurement(name: "reconnect_storm_median_s", value: median(times), unit: "s", digits: 2),
                Measurement(name: "reconnect_storm_first_s", value: times.first ?? 0, unit: "s", digits: 2),
                Measurement(name: "coordination_stop_500_s", value: stopped / .seconds(1), unit: "s", digits: 2),
            ]
        }
    }
}
