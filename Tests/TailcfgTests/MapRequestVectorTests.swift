import Tailcfg
import TestSupport
import Testing

private let requests = Result { try VectorFile("map_requests", in: .module).cases }

@Suite("MapRequest against recorded bodies")
struct MapRequestVectorTests {
    @Test(arguments: try requests.get())
    func `re-encodes a recorded body`(_ vector: VectorCase) throws {
        guard let body = vector.value.body else {
            let path = try #require(vector.value.path_and_query?.string)
            #expect(path.hasPrefix("/key?v="))
            return
        }
        let request = try body.decoded(as: MapRequest.self)
        #expect(try encoded(request) == body)
        #expect(request.endpoints?.count == request.endpointTypes.count)
    }
}
