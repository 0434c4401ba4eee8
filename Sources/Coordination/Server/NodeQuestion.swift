import NIOCore
package import NetTypes
import Tailcfg
import WarrenCrypto

/// What the server can ask of a node's client.
package enum NodeQuestion: Hashable, Sendable {
    /// A sign of life.
    case isAlive
    /// An HTTP/1 request to the client itself, such as `GET /echo`; the answer is a serialised HTTP/1 response.
    case request(String)
    /// A probe of a peer; the answer is a `PingResponse`.
    case probe(NodeProbe, IPAddress)
}

/// The ways in which a client can probe a peer; the raw value is the word of the protocol.
package enum NodeProbe: String, Sendable, CaseIterable {
    /// A disco ping.
    case disco
    /// A TSMP ping inside the tunnel.
    case tsmp = "TSMP"
    /// An ICMP echo inside the tunnel.
    case icmp = "ICMP"
    /// A connection to the peer's API.
    case peerAPI = "peerapi"
}

/// Why a question has no answer.
package enum NodeQuestionFailure: Error, Hashable, Sendable {
    /// The node has no stream that could carry the question.
    case notConnected
    /// No answer came in time.
    case noAnswer
}

/// A question that was asked and not yet answered.
struct OpenQuestion {
    /// Who has to answer.
    let machineKey: MachinePublicKey
    /// How: with HEAD, or with POST and a body.
    let isHead: Bool
    /// When it is given up.
    let expires: ControlTime
    /// Gets the answer's body.
    let answer: AsyncStream<ByteBuffer>.Continuation
}
