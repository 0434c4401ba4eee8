import Foundation

// Prints one line per measured quantity, `name value unit`; an argument limits the run to benchmarks whose name
// begins with it.
let filter = CommandLine.arguments.dropFirst().first ?? ""
let benchmarks =
    wireGuardBenchmarks + packetPathBenchmarks + networkMapBenchmarks + coordinationBenchmarks
    + tunnelBenchmarks
if filter == CoordinationProcess.argument {
    try await CoordinationProcess.serve(Array(CommandLine.arguments.dropFirst(2)))
    exit(0)
}
for benchmark in benchmarks where benchmark.name.hasPrefix(filter) {
    for line in benchmark.run() { print(line) }
}
