import ControlPlane
import Coordination
import Glibc
import Logging
import NIOCore
import NetTypes
import Store
import Tailnet
import Transport
import VirtualMachines
import WarrenCrypto
import WarrenModel
import Webhooks

/// Makes the nodes of VMs by the configuration of this host.
struct TailnetNodes: VMNodeMaker {
    /// Where `embedded` leads; nil when it is off.
    let coordination: CoordinationServer?
    /// When control may be spoken to without TLS.
    let plainHTTP: PlainHTTPControl
    /// What all nodes share.
    let tailnet: TailnetSection
    /// Which connections to control and relays go through a proxy.
    let proxies: ProxySettings
    /// Which addresses may be dialled that others chose.
    let policy: TargetPolicy
    /// The loops for what belongs to no VM.
    let group: any EventLoopGroup
    /// Gets what nodes say.
    let logger: Logger

    func node(for request: VMNodeRequest) -> any VMNode {
        let interface = request.interface
        var logger = logger
        logger[metadataKey: "vm-id"] = "\(request.id)"
        var configuration = configuration(
            control: interface.control,
            preferences: NodePreferences(hostname: interface.hostname.text, interface.preferences),
            socket: request.nicSocketPath,
            logger: logger
        )
        configuration.authKey = request.authKey
        configuration.isEphemeral = interface.isEphemeral
        let commit = request.commit
        let control = interface.control
        return TailnetNode(
            configuration: configuration,
            identity: request.identity.map(NodeIdentity.init),
            eventLoop: request.eventLoop,
            commit: { identity, wipesAuthKey in
                try await commit(NodeIdentityRecord(identity, control: control), wipesAuthKey)
            }
        )
    }

    func logout(_ identity: NodeIdentityRecord) async throws {
        if identity.control == .embedded, let coordination {
            // A logout ends a node's key and keeps the node; here it is our own, and nobody will use it again.
            let machineKey = identity.machineKey.publicKey
            for node in await coordination.registry.nodes() where node.node.machineKey == machineKey {
                try await coordination.registry.removeNode("\(node.node.id)")
            }
            return
        }
        let configuration = configuration(
            control: identity.control,
            preferences: NodePreferences(hostname: ""),
            socket: "",
            logger: logger
        )
        try await TailnetNode.logOut(NodeIdentity(identity), configuration: configuration, eventLoop: group.any())
    }

    private func configuration(
        control: ControlTarget,
        preferences: NodePreferences,
        socket: String,
        logger: Logger
    ) -> TailnetNodeConfiguration {
        let url =
            switch control {
            // A VM may outlive the server it was made for; its node then says that the URL cannot be used.
            case .embedded: coordination?.localURL ?? ""
            case .url(let url): url.text
            }
        var configuration = TailnetNodeConfiguration(
            controlURL: url,
            preferences: preferences,
            nicSocketPath: socket,
            dialPolicy: policy.forControl(ofThisHost: control == .embedded),
            logger: logger
        )
        configuration.plainHTTP =
            switch plainHTTP {
            case .never: .refused
            case .loopback: .localOnly
            case .always: .allowed
            }
        configuration.dnsForwarding =
            switch tailnet.dnsForwarding {
            case .tailnet: .tailnet
            case .host: .host(resolvers: HostResolvers.read())
            }
        configuration.proxies = proxies
        configuration.udpBindAddress = tailnet.bind.isUnspecified ? nil : tailnet.bind
        switch tailnet.udpPorts {
        case .off: configuration.usesUDP = false
        case .any: break
        case .range(let range):
            let port = Self.freePort(in: range, at: tailnet.bind)
            configuration.udpPort = port ?? 0
            configuration.lacksConfiguredPort = port == nil
        }
        return configuration
    }

    /// The lowest port of a range that nobody holds; nil when all are taken.
    private static func freePort(in range: ClosedRange<UInt16>, at bind: IPAddress) -> UInt16? {
        range.first { port in
            guard let address = try? SocketAddress(ipAddress: "\(bind)", port: Int(port)) else { return false }
            let family = address.protocol == .inet6 ? AF_INET6 : AF_INET
            let descriptor = socket(family, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
            guard descriptor >= 0 else { return false }
            defer { close(descriptor) }
            return address.withSockAddr { Glibc.bind(descriptor, $0, socklen_t($1)) == 0 }
        }
    }
}

extension TailnetNode: VMNode {}

extension NodeIdentity {
    /// The identity behind a stored one.
    init(_ record: NodeIdentityRecord) {
        self.init(
            machineKey: record.machineKey,
            nodeKey: record.nodeKey,
            candidateKey: record.candidateKey,
            isRegistered: record.isRegistered,
            logID: record.details["logId"]?.string
        )
        isLoggedOut = record.details["loggedOut"]?.bool ?? false
        if let choice = record.details["exitNode"]?["choice"]?.string.flatMap({ ExitNodeChoice($0) }),
            let stableID = record.details["exitNode"]?["stableId"]?.string
        {
            exitNode = RememberedExitNode(choice: choice, stableID: stableID)
        }
    }
}

extension NodeIdentityRecord {
    /// An identity as it is stored.
    init(_ identity: NodeIdentity, control: ControlTarget) {
        let exitNode = identity.exitNode.map { node -> JSONTree in
            ["choice": .string(node.choice.description), "stableId": .string(node.stableID)]
        }
        self.init(
            control: control,
            machineKey: identity.machineKey,
            nodeKey: identity.nodeKey,
            candidateKey: identity.candidateKey,
            isRegistered: identity.isRegistered,
            details: [
                "logId": .string(identity.logID), "loggedOut": .bool(identity.isLoggedOut),
                "exitNode": exitNode ?? .null,
            ]
        )
    }
}
