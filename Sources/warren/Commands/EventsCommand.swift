import ArgumentParser
import NIOCore
import WarrenModel

/// `warren events`.
struct EventsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "events",
        abstract: "Print what happened, oldest first.",
        discussion: "With --json each event, or without --follow each page, is printed as it was answered."
    )

    @Option(help: "Only what came after this sequence number.")
    var after: Int64?

    @Option(help: "Only events of this VM.")
    var vm: String?

    @Option(help: "Only events of this type.")
    var type: String?

    @Flag(name: .shortAndLong, help: "Go on with what happens next.")
    var follow = false

    @OptionGroup var connection: ConnectionOptions

    mutating func run() async throws {
        try await connection.withDaemon { daemon in
            let filters = [("vm", vm), ("type", type)]
            if follow {
                var lines = EventStreamLines()
                let query = URLText.query([("after", after.map(String.init))] + filters)
                try await daemon.stream("/v1/events" + query, accept: "text/event-stream") { chunk in
                    for document in lines.documents(in: chunk) {
                        if connection.json {
                            Terminal.say(document)
                        } else {
                            Terminal.say(Self.line(try ModelJSON.decode(Event.self, from: document)))
                        }
                    }
                }
                return
            }
            var cursor: String?
            repeat {
                let query = URLText.query([("after", after.map(String.init)), ("cursor", cursor)] + filters)
                let bytes = try await daemon.bytes(.GET, "/v1/events" + query)
                if connection.json { return Terminal.json(bytes) }
                let page = try ModelJSON.decode(Page<Event>.self, from: bytes)
                for event in page.items { Terminal.say(Self.line(event)) }
                cursor = page.nextCursor
            } while cursor != nil
        }
    }

    private static func line(_ event: Event) -> String {
        let name = event.data["vm"]?["name"]?.string ?? ""
        var facts: [String] = []
        if let state = event.data["state"]?.string {
            facts.append("\(event.data["previous"]?.string ?? "?") → \(state)")
        }
        if let url = event.data["loginUrl"]?.string { facts.append(url) }
        if let reason = (event.data["reason"] ?? event.data["stateReason"])?["message"]?.string { facts.append(reason) }
        let head = "\(event.seq)  \(event.timestamp)  \(event.type.rawValue)  \(name)"
        return facts.isEmpty ? head : head + "  " + facts.joined(separator: "  ")
    }
}

/// Cuts the `data:` fields out of a stream of server-sent events.
struct EventStreamLines {
    private var rest: [UInt8] = []

    /// The data that ended in this chunk, each one JSON document on one line.
    mutating func documents(in chunk: ByteBuffer) -> [String] {
        rest += chunk.readableBytesView
        var documents: [String] = []
        while let end = rest.firstIndex(of: 10) {
            let line = String(decoding: rest[..<end], as: UTF8.self)
            rest.removeFirst(end + 1)
            if line.hasPrefix("data:") { documents.append(String(line.dropFirst(5).drop { $0 == " " })) }
        }
        return documents
    }
}
