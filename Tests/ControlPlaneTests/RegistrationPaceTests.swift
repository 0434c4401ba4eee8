import ControlPlane
import Tailcfg
import Testing
import WarrenCrypto

@Suite("Registration with a server that never comes to an end") struct RegistrationPaceTests {
    @Test func `slows down when the auth URL keeps moving`() {
        var generator = SystemRandomNumberGenerator()
        var registration = Registration()
        var actions = registration.handle(.start(storedKey: NodePrivateKey().publicKey), using: &generator)
        var waited = Duration.zero
        for number in 0..<100 {
            guard case .send? = actions.last else {
                Issue.record("\(actions)")
                return
            }
            var response = RegisterResponse()
            response.authURL = "https://login.example/\(number)"
            actions = registration.handle(.answered(response), using: &generator)
            #expect(actions.first == .showAuthURL(response.authURL))
            #expect(registration.pendingAuthURL == response.authURL)
            if case .wait(let pause)? = actions.last {
                waited += pause
                actions = registration.handle(.waited, using: &generator)
            }
        }
        // At n² × 10 ms, halved at the least.
        #expect(waited > .seconds(600))
    }
}
