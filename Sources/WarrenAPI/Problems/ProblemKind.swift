/// Every way in which a request can fail, by the slug of its page.
package enum ProblemKind: String, Sendable, CaseIterable {
    case malformedRequest = "malformed-request"
    case invalidJSON = "invalid-json"
    case invalidParameter = "invalid-parameter"
    case validationFailed = "validation-failed"
    case unauthenticated
    case forbidden
    case notFound = "not-found"
    case vmNotFound = "vm-not-found"
    case methodNotAllowed = "method-not-allowed"
    case notAcceptable = "not-acceptable"
    case unsupportedMediaType = "unsupported-media-type"
    case bodyTooLarge = "body-too-large"
    case urlTooLong = "url-too-long"
    case headersTooLarge = "headers-too-large"
    case nameTaken = "name-taken"
    case invalidState = "invalid-state"
    case noGuestAgent = "no-guest-agent"
    case noNetwork = "no-network"
    case vmNotStopped = "vm-not-stopped"
    case networkNotRunning = "network-not-running"
    case peerNotFound = "peer-not-found"
    case agentUnsupported = "agent-unsupported"
    case idempotencyInProgress = "idempotency-in-progress"
    case idempotencyKeyReused = "idempotency-key-reused"
    case preconditionFailed = "precondition-failed"
    case eventsTrimmed = "events-trimmed"
    case capacityExceeded = "capacity-exceeded"
    case hypervisorFailure = "hypervisor-failure"
    case storageFull = "storage-full"
    case internalError = "internal"
    case tailnetUnavailable = "tailnet-unavailable"
    case shuttingDown = "shutting-down"

    /// The status that goes with it.
    package var status: Int {
        switch self {
        case .malformedRequest, .invalidJSON, .invalidParameter: 400
        case .unauthenticated: 401
        case .forbidden: 403
        case .notFound, .vmNotFound, .peerNotFound: 404
        case .methodNotAllowed: 405
        case .notAcceptable: 406
        case .nameTaken, .invalidState, .noGuestAgent, .noNetwork, .vmNotStopped, .networkNotRunning,
            .idempotencyInProgress:
            409
        case .eventsTrimmed: 410
        case .preconditionFailed: 412
        case .bodyTooLarge: 413
        case .urlTooLong: 414
        case .unsupportedMediaType: 415
        case .validationFailed, .idempotencyKeyReused, .agentUnsupported: 422
        case .capacityExceeded: 429
        case .headersTooLarge: 431
        case .hypervisorFailure, .internalError: 500
        case .tailnetUnavailable, .shuttingDown: 503
        case .storageFull: 507
        }
    }

    /// What it is called.
    package var title: String {
        switch self {
        case .malformedRequest: "The request is malformed"
        case .invalidJSON: "The body is not JSON"
        case .invalidParameter: "A parameter or header is invalid"
        case .validationFailed: "The body breaks a rule"
        case .unauthenticated: "A token is needed"
        case .forbidden: "The token does not allow this"
        case .notFound: "There is nothing here"
        case .vmNotFound: "There is no such VM"
        case .methodNotAllowed: "The method is not allowed here"
        case .notAcceptable: "No acceptable media type"
        case .unsupportedMediaType: "The media type of the body is not supported"
        case .bodyTooLarge: "The body is too large"
        case .urlTooLong: "The URL is too long"
        case .headersTooLarge: "The header fields are too large"
        case .nameTaken: "The name is taken"
        case .invalidState: "The state of the VM forbids this"
        case .noGuestAgent: "The guest has no agent that answers"
        case .noNetwork: "The VM has no network"
        case .vmNotStopped: "The VM must be stopped for this"
        case .networkNotRunning: "The node of the VM does not run"
        case .peerNotFound: "There is no such peer"
        case .agentUnsupported: "The agent in the guest cannot do this"
        case .idempotencyInProgress: "The same request is still running"
        case .idempotencyKeyReused: "The idempotency key was used for another request"
        case .preconditionFailed: "The resource has changed"
        case .eventsTrimmed: "The events are no longer kept"
        case .capacityExceeded: "The host is full"
        case .hypervisorFailure: "The hypervisor failed"
        case .storageFull: "The disk is full"
        case .internalError: "Something broke in the daemon"
        case .tailnetUnavailable: "The embedded coordination server is not available"
        case .shuttingDown: "The daemon is shutting down"
        }
    }

    /// What one who meets it can do, in a few sentences.
    package var advice: String {
        switch self {
        case .malformedRequest:
            "What came is not HTTP/1.1: look at the client, or at what stands between it and the daemon. The connection is "
                + "closed after this answer."
        case .invalidJSON:
            "Send one JSON document in UTF-8. `detail` says at which octet reading stopped; trailing commas, comments and "
                + "text after the document are not JSON."
        case .invalidParameter:
            "`detail` names the query parameter or the header field and says what it may be. Unknown query parameters are "
                + "refused, so that a mistyped filter does not silently list everything."
        case .validationFailed:
            "`errors` lists every fault of the body at once: `pointer` is a JSON pointer to the member, `code` a word for "
                + "programs, `detail` a sentence. The code `not-supported` means that the contract has the member, and "
                + "this version does not serve it."
        case .unauthenticated:
            "Send `Authorization: Bearer wrn_…`. The admin token is in `admin.token` of the state directory. Over the Unix "
                + "socket no token is needed. A token that has ended or was deleted is refused too."
        case .forbidden:
            "The token is good, but its scopes do not cover this request, or it is bound to another VM. `detail` names the "
                + "scope that is needed. Use another token."
        case .notFound: "Look at `/openapi.json` for the paths that this daemon serves. Paths have no trailing slash."
        case .vmNotFound:
            "VMs are named by id or name. The name of a deleted VM is free at once; its id tells for a day how the "
                + "clean-up went."
        case .methodNotAllowed: "The header field `Allow` of this answer lists the methods of the path."
        case .notAcceptable: "Accept `application/json`, or what `/openapi.json` lists for the path, or `*/*`."
        case .unsupportedMediaType: "Send the body with `Content-Type: application/json`."
        case .bodyTooLarge: "A body may have 1 MiB."
        case .urlTooLong: "A URL may have 8 KiB."
        case .headersTooLarge: "All header fields together may have 16 KiB."
        case .nameTaken: "Choose another name, leave `name` out to get one made up, or delete what has it."
        case .invalidState:
            "`detail` names the state and the action. Wait for a state with `GET /v1/vms/{vm}/wait`, then try again."
        case .noGuestAgent:
            "Commands reach a guest through an agent inside it. Wait for it with `GET /v1/vms/{vm}/wait?agent=ready`; an "
                + "image without one cannot run commands this way."
        case .noNetwork: "The VM was made without `networkInterface`. Make one with it."
        case .vmNotStopped:
            "`detail` names the members that a guest or a node takes up only when it starts. Stop the VM, change it, and start "
                + "it again; or leave these members out."
        case .networkNotRunning:
            "A node takes part in its tailnet while its VM runs. Start the VM, and wait for it with "
                + "`GET /v1/vms/{vm}/wait?network=Running`."
        case .peerNotFound:
            "Peers are named by MagicDNS name, tailnet address or stable node id: `GET /v1/vms/{vm}/network` lists them."
        case .agentUnsupported:
            "The guest lacks what the request needs, such as a shell for `cwd` or setpriv for `uid`. Leave the member out, "
                + "or use an image that has it."
        case .idempotencyInProgress: "Wait, then send the same request again to get its answer."
        case .idempotencyKeyReused:
            "Use a new `Idempotency-Key` for every new request. A key is remembered for 24 hours."
        case .preconditionFailed:
            "Read the resource again, and repeat the request with its new `ETag` if it is still right."
        case .eventsTrimmed:
            "The log keeps a limited number of events. Read the resources as they are now, then begin again without "
                + "`after`."
        case .capacityExceeded:
            "Delete VMs, ask for less memory, or raise `vms.maxCount` or `vms.maxMemoryMiB`. `Retry-After` is a hint."
        case .hypervisorFailure:
            "The VM's `stateReason`, its console log and the daemon's log under this `requestId` say more."
        case .storageFull: "Make room on the disk of the state directory. Nothing was changed."
        case .internalError:
            "The daemon's log has the cause under this `requestId`. Trying again is safe for GET requests."
        case .tailnetUnavailable:
            "The embedded coordination server is off, or does not run: see `control.embedded.enabled`."
        case .shuttingDown: "The daemon finishes what it began and ends; VMs go on. Try again when it runs again."
        }
    }
}
