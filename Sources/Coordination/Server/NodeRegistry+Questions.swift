package import NIOCore
package import Tailcfg
package import WarrenCrypto

extension NodeRegistry {
    /// Asks a node's client over its map stream and waits for the answer, which comes over any connection of its machine.
    package func ask(_ question: NodeQuestion, of id: NodeID) async throws(NodeQuestionFailure) -> ByteBuffer {
        let stream = streams.values.filter { $0.nodeID == id && $0.farewell == nil }.max { $0.id < $1.id }
        guard let stream, let node = state.nodes[id] else { throw .notConnected }
        guard stream.questions.count < CoordinationDefaults.maximumQuestions else { throw .noAnswer }
        let number = AuthKeyText.hex(RandomBytes.make(count: 16))
        let (answers, answer) = AsyncStream.makeStream(of: ByteBuffer.self, bufferingPolicy: .bufferingOldest(1))
        let isHead = question == .isAlive
        questions[number] = OpenQuestion(
            machineKey: node.machineKey,
            isHead: isHead,
            expires: now().adding(
                seconds: isHead ? CoordinationDefaults.aliveSeconds : CoordinationDefaults.answerSeconds
            ),
            answer: answer
        )
        defer { questions[number] = nil }
        stream.questions.append(question.pingRequest(number: number))
        stream.wakeup.yield()
        for await body in answers { return body }
        throw .noAnswer
    }

    /// Takes an answer to a question, once and from the machine that was asked; tells whether it was one.
    package func takeAnswer(
        _ number: String,
        isHead: Bool,
        body: ByteBuffer,
        from machineKey: MachinePublicKey
    ) -> Bool {
        guard let question = questions[number], question.machineKey == machineKey, question.isHead == isHead else {
            return false
        }
        questions[number] = nil
        question.answer.yield(body)
        question.answer.finish()
        return true
    }

    /// Gives up questions whose time is over.
    func dropOldQuestions(now time: ControlTime) {
        for question in questions.values where question.expires <= time { question.answer.finish() }
    }
}

extension NodeQuestion {
    /// The request of the protocol; the answer's path tells which question it is for.
    fileprivate func pingRequest(number: String) -> PingRequest {
        let url = "https://unused\(CoordinationConstants.questionPath)\(number)"
        return switch self {
        case .isAlive: PingRequest(url: url, urlIsNoise: true)
        case .request(let text): PingRequest(url: url, urlIsNoise: true, types: "c2n", payload: Array(text.utf8))
        case .probe(let probe, let address): PingRequest(url: url, urlIsNoise: true, types: probe.rawValue, ip: address)
        }
    }
}
