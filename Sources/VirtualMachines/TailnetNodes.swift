package import Logging
package import NIOCore
package import NetTypes
package import Store
package import Tailnet
import WarrenCrypto
import WarrenModel

/// Makes the real tailnet nodes of VMs.
package struct TailnetNodes: VMNodeMaker {
    /// Makes the packet path of a node.
    package typealias PlaneMaker = @Sendable (NodeIdentity, VMNodeRequest) -> any PacketPlane

    private let embeddedURL: @Sendable () -> String?
    private let plainHTTP: NodeConfiguration.PlainHTTP
    private let policy: any DialPolicy
    private let group: any EventLoopGroup
    private let logger: Logger
    private let makePlane: PlaneMaker

    /// Nodes for this host; `embeddedURL` is where its own coordination server listens now.
    package init(
        embeddedURL: @escaping @Sendable () -> String?,
        plainHTTP: NodeConfiguration.PlainHTTP,
        policy: any DialPolicy,
        group: any EventLoopGroup,
        logger: Logger,
        makePlane: @escaping PlaneMaker
    ) {
        self.embeddedURL = embeddedURL
        self.plainHTTP = plainHTTP
        self.policy = policy
        self.group = group
        self.logger = logger
        self.makePlane = makePlane
    }

    package func node(for request: VMNodeRequest) -> any VMNode {
        let identity = request.identity.map(NodeIdentity.init) ?? .fresh()
        let control = request.interface.control
        var nodeLogger = logger
        nodeLogger[metadataKey: "vm-id"] = "\(request.id)"
        let configuration = NodeConfiguration(
            controlURL: url(of: control), plainHTTP: plainHTTP, authKey: request.authKey?.reveal(),
            hostname: request.interface.hostname.text, isEphemeral: request.interface.isEphemeral,
            acceptsDNS: request.interface.acceptsDNS, dialPolicy: policy, eventLoop: request.eventLoop,
            logger: nodeLogger
        )
        return TailnetNode(
            configuration: configuration, identity: identity, plane: makePlane(identity, request),
            commit: { identity, wipesAuthKey in
                try await request.commit(NodeIdentityRecord(identity, control: control), wipesAuthKey)
            }
        )
    }

    package func logout(_ record: NodeIdentityRecord) async throws {
        let configuration = NodeConfiguration(
            controlURL: url(of: record.control), plainHTTP: plainHTTP, authKey: nil, hostname: "", isEphemeral: false,
            acceptsDNS: false, dialPolicy: policy, eventLoop: group.next(), logger: logger
        )
        try await TailnetNode.logOut(NodeIdentity(record), configuration: configuration)
    }

    private func url(of control: ControlTarget) -> String {
        switch control {
        case .embedded: embeddedURL() ?? ""
        case .url(let url): url.text
        }
    }
}

extension TailnetNode: VMNode {}

extension NodeIdentity {
    /// The identity out of the store.
    init(_ record: NodeIdentityRecord) {
        self.init(
            machineKey: record.machineKey, nodeKey: record.nodeKey, oldNodeKey: record.oldNodeKey,
            isRegistered: record.isRegistered,
            backendLogID: record.details["backendLogId"]?.string ?? String(repeating: "0", count: 64)
        )
    }
}

extension NodeIdentityRecord {
    /// The identity as it is stored.
    init(_ identity: NodeIdentity, control: ControlTarget) {
        self.init(
            control: control, machineKey: identity.machineKey, nodeKey: identity.nodeKey,
            oldNodeKey: identity.oldNodeKey, isRegistered: identity.isRegistered,
            details: ["backendLogId": .string(identity.backendLogID)]
        )
    }
}
