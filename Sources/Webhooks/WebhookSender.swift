import AsyncHTTPClient
import NIOCore
import NIOHTTP1
import NIOPosix
import NetTypes
import Store
import WarrenModel

/// How a delivery was received.
enum DeliveryAnswer: Equatable, Sendable {
    /// With this status, and perhaps a wish when to come again.
    case status(Int, retryAfter: Duration?)
    /// Not at all, in a few words without secrets.
    case failure(String)
}

/// Makes one delivery: resolves the host once, asks the policy, and connects to the address that was asked about.
struct WebhookSender: Sendable {
    /// Judges URLs and addresses.
    let policy: any DialPolicy & WebTargetPolicy
    /// Finds the addresses.
    let resolver: any HostResolver
    /// Lends a client for one address.
    let clients: PinnedClients
    /// How long a delivery may take.
    let timeout: Duration
    /// How receivers see us.
    let userAgent: String

    /// How many addresses of a host are tried.
    private static let addressLimit = 3
    /// How much of an answer is read, only so that the connection can be used again.
    private static let bodyLimit = 16_384

    /// - Throws: `CancellationError` alone; everything else is an answer.
    func send(_ record: OutboxRecord, now: Timestamp) async throws -> DeliveryAnswer {
        if let refusal = policy.refusal(of: record.url, for: .webhook) { return .failure(refusal) }
        let deadline = ContinuousClock.now + timeout
        do {
            let addresses = try await resolver.addresses(of: record.url.host)
            return try await send(record, to: addresses, now: now, deadline: deadline)
        } catch is CancellationError {
            throw CancellationError()
        } catch TargetError.refused(let address) {
            return .failure("\(address) is not an address that this host connects to for others")
        } catch {
            try Task.checkCancellation()
            return .failure(Self.reason(error))
        }
    }

    private func send(
        _ record: OutboxRecord,
        to addresses: [IPAddress],
        now: Timestamp,
        deadline: ContinuousClock.Instant
    ) async throws -> DeliveryAnswer {
        guard let first = addresses.first else { throw TargetError.unresolved }
        let permitted = addresses.filter { policy.permits($0, for: .webhook) }
        guard !permitted.isEmpty else { throw TargetError.refused(first) }
        let request = request(record, now: now)
        var failure: any Error = TargetError.unresolved
        for address in permitted.prefix(Self.addressLimit) {
            do {
                return try await clients.withClient(host: record.url.host, address: address) { client in
                    let left = deadline - .now
                    guard left > .zero else { throw HTTPClientError.deadlineExceeded }
                    let response = try await client.execute(request, timeout: .nanoseconds(left.wholeNanoseconds))
                    return await Self.answer(response, now: now, deadline: deadline)
                }
            } catch {
                // Only when nobody was reached the next address may be tried: a second copy is no help otherwise.
                guard Self.isConnectFailure(error) else { throw error }
                failure = error
            }
        }
        throw failure
    }

    private func request(_ record: OutboxRecord, now: Timestamp) -> HTTPClientRequest {
        // Put together from the parts that were judged, so that no other reading of the text decides where it goes.
        let url = record.url
        var request = HTTPClientRequest(url: "\(url.scheme.rawValue)://\(url.authority)\(url.target)")
        request.method = .POST
        for (name, value) in record.secrets.headers where CallbackRequest.isAllowedHeader(name) {
            request.headers.add(name: name, value: value.reveal())
        }
        request.headers.replaceOrAdd(name: "content-type", value: "application/json")
        request.headers.replaceOrAdd(name: "user-agent", value: userAgent)
        let signer = WebhookSigner(secrets: [record.secrets.signingSecret])
        for field in signer.fields(id: record.eventID, timestamp: now, body: record.body) {
            request.headers.replaceOrAdd(name: field.name, value: field.value)
        }
        request.body = .bytes(record.body)
        return request
    }

    private static func answer(
        _ response: HTTPClientResponse,
        now: Timestamp,
        deadline: ContinuousClock.Instant
    ) async -> DeliveryAnswer {
        let retryAfter = response.headers.first(name: "retry-after").flatMap { RetryAfter.parse($0, now: now) }
        if let length = response.headers.first(name: "content-length").flatMap(Int.init), length <= bodyLimit {
            // The client's own time limit ends with the head, and a receiver that drips its body must not keep the place.
            // The status has decided already; what becomes of the body does not matter.
            await withTaskGroup(of: Void.self) { group in
                group.addTask { _ = try? await response.body.collect(upTo: bodyLimit) }
                // Cancelled when the body is whole.
                group.addTask { try? await ContinuousClock().sleep(until: deadline) }
                await group.next()
                group.cancelAll()
            }
        }
        return .status(Int(response.status.code), retryAfter: retryAfter)
    }

    private static func isConnectFailure(_ error: any Error) -> Bool {
        error is NIOConnectionError || error as? HTTPClientError == .connectTimeout
            || (error as? IOError)?.errnoCode == ECONNREFUSED
    }

    private static func reason(_ error: any Error) -> String {
        switch error {
        case TargetError.unresolved: "the host name does not resolve"
        case let error as HTTPClientError: error.shortDescription
        case let error as IOError: "connection failed: errno \(error.errnoCode)"
        case is NIOConnectionError: "connection failed"
        default: "\(type(of: error))"
        }
    }
}
