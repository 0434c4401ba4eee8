import WarrenModel

/// How VMs are shown to people.
enum VMText {
    /// All of them, one a line.
    static func table(_ vms: [VirtualMachine]) -> String {
        var table = Table("NAME", "STATE", "NETWORK", "ADDRESS", "IMAGE", "CPUS", "MEMORY", "ID")
        for vm in vms {
            table.add(
                vm.name.text,
                vm.state.rawValue,
                vm.network?.state.rawValue ?? "none",
                vm.network?.addresses.first,
                vm.image,
                String(vm.cpus),
                "\(vm.memoryMiB) MiB",
                vm.id.description
            )
        }
        return table.text
    }

    /// One of them, everything that matters.
    static func card(_ vm: VirtualMachine) -> String {
        var card = Card()
        card.add("Name", vm.name.text)
        card.add("Id", vm.id.description)
        card.add("State", "\(vm.state.rawValue) since \(vm.stateSince)")
        card.add("Reason", vm.stateReason.map { "\($0.message) (\($0.code))" })
        card.add("Wanted", vm.desiredState.rawValue == vm.state.rawValue ? nil : vm.desiredState.rawValue)
        card.add("Image", vm.image)
        card.add("Size", "\(vm.cpus) CPU\(vm.cpus == 1 ? "" : "s"), \(vm.memoryMiB) MiB")
        card.add("Accelerator", vm.accelerator?.rawValue)
        card.add("Restart", "\(vm.restart.policy.rawValue), at most \(vm.restart.maxRetries) times")
        card.add("Autostart", vm.autostart ? "yes" : "no")
        card.add("Labels", vm.labels.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: " "))
        if let network = vm.network { add(network, of: vm, to: &card) } else { card.add("Network", "none") }
        card.add("Created", vm.createdAt.description)
        return card.text
    }

    private static func add(_ network: NetworkStatus, of vm: VirtualMachine, to card: inout Card) {
        card.add("Network", "\(network.state.rawValue) since \(network.since)")
        card.add("Network reason", network.stateReason.map { "\($0.message) (\($0.code))" })
        card.add("Login URL", network.loginUrl)
        card.add("Addresses", network.addresses.joined(separator: " "))
        card.add("DNS name", network.dnsName)
        card.add("Tailnet", network.tailnet)
        card.add("Control", vm.networkInterface?.controlUrl.description)
        card.add("Home DERP", network.homeDerp?.regionCode)
        card.add("Peers", network.state == .running ? String(network.peerCount) : nil)
        card.add("Internet", network.internet.description)
        card.add("Health", network.health.joined(separator: "; "))
        for (name, callback) in [
            ("loginUrlCb", vm.networkInterface?.loginUrlCb), ("stateUpdateCb", vm.networkInterface?.stateUpdateCb),
            ("netmapUpdateCb", vm.networkInterface?.netmapUpdateCb),
        ] {
            guard let callback else { continue }
            card.add(name, callback.url.text)
            if case .shown(let secret) = callback.secret { card.add("\(name) secret", "\(secret)  (shown once)") }
        }
    }
}
