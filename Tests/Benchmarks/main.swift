// Prints one line per measured quantity, `name value unit`; an argument limits the run to benchmarks whose name
// begins with it.
let filter = CommandLine.arguments.dropFirst().first ?? ""
let benchmarks = wireGuardBenchmarks + packetPathBenchmarks
for benchmark in benchmarks where benchmark.name.hasPrefix(filter) {
    for line in benchmark.run() { print(line) }
}
