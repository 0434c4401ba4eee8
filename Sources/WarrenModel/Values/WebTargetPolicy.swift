package import NetTypes

/// Decides at once, without a look-up, whether a URL that a user gave may be used; what its name resolves to is judged at each dial.
package protocol WebTargetPolicy: Sendable {
    /// Why the URL is refused, in one sentence, or nil.
    func refusal(of url: WebURL, for purpose: DialPurpose) -> String?
}
