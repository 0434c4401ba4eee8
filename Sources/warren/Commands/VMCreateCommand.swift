import ArgumentParser
import FoundationEssentials
import WarrenModel

/// `warren vm create`.
struct VMCreateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create",
        abstract: "Make a VM; unless --no-network is given it becomes a node of a tailnet.",
        discussion: "Without an auth key the node asks for a login: see `warren login-url`."
    )

    @Option(help: "Its name, a DNS label; made up when absent.")
    var name: String?

    @Option(help: "The image.")
    var image: String?

    @Option(help: "How many CPUs.")
    var cpus: Int?

    @Option(help: "How much memory, in MiB.")
    var memoryMib: Int?

    @Option(help: "More words for the kernel's command line.")
    var kernelArgs: String?

    @Option(help: ArgumentHelp("A label.", valueName: "key=value"))
    var label: [String] = []

    @Flag(inversion: .prefixedNo, help: "Start it now, and whenever the daemon starts.")
    var autostart = true

    @Option(help: "When the guest ends unasked: never, on-failure or always.")
    var restart: String?

    @Option(help: "How often it is restarted at most.")
    var maxRetries: Int?

    @OptionGroup var network: NetworkOptions

    @Option(help: ArgumentHelp("Hold on until it is there: running, agent, network or login.", valueName: "what"))
    var wait: String?

    @Option(help: "How long to hold on.")
    var timeout = "60s"

    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        if let wait, !["running", "agent", "network", "login"].contains(wait) {
            throw ValidationError("--wait must be running, agent, network or login")
        }
        guard Duration(goText: timeout) != nil else {
            throw ValidationError("--timeout must be a duration such as 60s")
        }
        _ = try labels()
    }

    mutating func run() async throws {
        let body = try body()
        try await connection.withDaemon { daemon in
            let query = URLText.query([("wait", wait), ("timeout", wait == nil ? nil : timeout)])
            let bytes = try await daemon.bytes(.POST, "/v1/vms" + query, body: body)
            let vm = try ModelJSON.decode(VirtualMachine.self, from: bytes)
            if connection.json { Terminal.json(bytes) } else { Terminal.say(VMText.card(vm)) }
            if let wait { try await check(wait, vm, daemon) }
        }
    }

    private func body() throws -> JSONTree {
        var members: [String: JSONTree] = [:]
        members["name"] = name.map(JSONTree.string)
        members["image"] = image.map(JSONTree.string)
        members["cpus"] = cpus.map { .integer(Int64($0)) }
        members["memoryMiB"] = memoryMib.map { .integer(Int64($0)) }
        members["kernelArgs"] = kernelArgs.map(JSONTree.string)
        if !autostart { members["autostart"] = false }
        let labels = try labels()
        if !labels.isEmpty { members["labels"] = .object(labels.mapValues(JSONTree.string)) }
        var policy: [String: JSONTree] = [:]
        policy["policy"] = restart.map(JSONTree.string)
        policy["maxRetries"] = maxRetries.map { .integer(Int64($0)) }
        if !policy.isEmpty { members["restart"] = .object(policy) }
        members["networkInterface"] = try network.body()
        return .object(members)
    }

    private func labels() throws -> [String: String] {
        try label.reduce(into: [:]) { labels, text in
            guard let equals = text.firstIndex(of: "=") else {
                throw ValidationError("--label \(text): write key=value")
            }
            labels[String(text[..<equals])] = String(text[text.index(after: equals)...])
        }
    }

    /// The answer is 201 also when the time is up: whether what was waited for came true stands in the VM.
    private func check(_ wait: String, _ vm: VirtualMachine, _ daemon: DaemonConnection) async throws {
        if vm.state == .failed {
            throw CommandFailure.notPossible("\(vm.name) failed: \(vm.stateReason?.message ?? "no reason is known")")
        }
        let isReached: Bool
        switch wait {
        case "running": isReached = vm.state == .running
        case "network": isReached = vm.network?.state == .running
        case "login": isReached = vm.network?.loginUrl != nil || vm.network?.state == .running
        default:
            let target = try VMTarget.path(vm.id.description, "/wait?agent=ready&timeout=1ms")
            isReached = try ModelJSON.decode(WaitAnswer.self, from: await daemon.bytes(.GET, target)).reached
        }
        guard isReached else { throw CommandFailure.timedOut("\(vm.name): no \(wait) within \(timeout)") }
    }
}

/// The network interface of a new VM.
struct NetworkOptions: ParsableArguments {
    @Flag(inversion: .prefixedNo, help: "Make it a node of a tailnet.")
    var network = true

    @Option(help: ArgumentHelp("The auth key; others on this machine can see it here.", valueName: "key"))
    var authKey: String?

    @Option(help: ArgumentHelp("A file that holds the auth key.", valueName: "file"))
    var authKeyFile: String?

    @Option(help: ArgumentHelp("The control server; the configured one when absent.", valueName: "url"))
    var controlUrl: String?

    @Option(help: ArgumentHelp("Where the login URL is sent.", valueName: "url"))
    var loginUrlCb: String?

    @Option(help: ArgumentHelp("Where changes of state are sent.", valueName: "url"))
    var stateUpdateCb: String?

    @Option(help: ArgumentHelp("Where changes of the netmap are sent.", valueName: "url"))
    var netmapUpdateCb: String?

    @Option(help: "The host name in the tailnet; the VM's name when absent.")
    var hostname: String?

    @Flag(help: "The tailnet forgets the node when it is gone.")
    var ephemeral = false

    @Flag(inversion: .prefixedNo, help: "Let the guest use MagicDNS.")
    var acceptDns = true

    @Flag(inversion: .prefixedNo, help: "Let the guest reach subnets behind other nodes.")
    var acceptRoutes = true

    @Flag(help: "Refuse everything that peers begin.")
    var shieldsUp = false

    @Option(help: "Through which peer it reaches the internet: auto, or a name, tailnet address or stable id.")
    var exitNode: String?

    @Option(help: ArgumentHelp("A tag of the node.", valueName: "tag:name"))
    var tag: [String] = []

    @Option(help: ArgumentHelp("A subnet that the guest routes for.", valueName: "prefix"))
    var advertiseRoute: [String] = []

    @Option(help: "auto, or websocket for what lets nothing else through.")
    var transport: String?

    func validate() throws {
        if authKey != nil, authKeyFile != nil { throw ValidationError("give --auth-key or --auth-key-file, not both") }
        let given =
            [
                authKey, authKeyFile, controlUrl, loginUrlCb, stateUpdateCb, netmapUpdateCb, hostname, exitNode,
                transport,
            ]
            + tag + advertiseRoute
        if !network, ephemeral || shieldsUp || given.contains(where: { $0 != nil }) {
            throw ValidationError("--no-network leaves nothing for the other network options to say")
        }
    }

    /// The `networkInterface` of the request; nil for none.
    func body() throws(CommandFailure) -> JSONTree? {
        guard network else { return nil }
        var members: [String: JSONTree] = [:]
        members["authKey"] = try AuthKeyText.read(authKey, file: authKeyFile).map(JSONTree.string)
        members["controlUrl"] = controlUrl.map(JSONTree.string)
        members["loginUrlCb"] = loginUrlCb.map(JSONTree.string)
        members["stateUpdateCb"] = stateUpdateCb.map(JSONTree.string)
        members["netmapUpdateCb"] = netmapUpdateCb.map(JSONTree.string)
        members["hostname"] = hostname.map(JSONTree.string)
        if ephemeral { members["ephemeral"] = true }
        if !acceptDns { members["acceptDns"] = false }
        if !acceptRoutes { members["acceptRoutes"] = false }
        if shieldsUp { members["shieldsUp"] = true }
        members["exitNode"] = exitNode.map(JSONTree.string)
        members["transport"] = transport.map(JSONTree.string)
        if !tag.isEmpty { members["tags"] = .array(tag.map(JSONTree.string)) }
        if !advertiseRoute.isEmpty { members["advertiseRoutes"] = .array(advertiseRoute.map(JSONTree.string)) }
        return .object(members)
    }
}

/// An auth key as options give it.
enum AuthKeyText {
    /// The key itself, or the first word of the file that holds it.
    static func read(_ key: String?, file: String?) throws(CommandFailure) -> String? {
        guard let file else { return key }
        guard let text = try? String(contentsOfFile: file, encoding: .utf8),
            let key = text.split(whereSeparator: \.isWhitespace).first
        else { throw .usage("--auth-key-file \(file): no key can be read from there") }
        return String(key)
    }
}
