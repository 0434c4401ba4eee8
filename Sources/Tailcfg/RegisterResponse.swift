/// The owner of a node, as the register answer names it.
package struct TailnetUser: Hashable, Sendable {
    /// The user's number.
    package var id: UserID = 0
    /// For display.
    package var displayName = ""
    /// A picture.
    package var profilePicURL = ""
    /// When the user came into being.
    package var created = ControlTime.zero

    /// Nobody.
    package init() {}

    /// A user.
    package init(id: UserID, displayName: String, created: ControlTime) {
        self.id = id
        self.displayName = displayName
        self.created = created
    }
}

extension TailnetUser: Codable {
    private enum CodingKeys: String, CodingKey {
        case id = "ID"
        case displayName = "DisplayName"
        case profilePicURL = "ProfilePicURL"
        case created = "Created"
    }

    /// Reads the object.
    package init(from decoder: any Decoder) throws {
        let members = try decoder.container(keyedBy: CodingKeys.self)
        id = try members.value(.id, or: 0)
        displayName = try members.text(.displayName)
        profilePicURL = try members.text(.profilePicURL)
        created = try members.value(.created, or: .zero)
    }

    /// Writes the object.
    package func encode(to encoder: any Encoder) throws {
        var members = encoder.container(keyedBy: CodingKeys.self)
        try members.encode(id, forKey: .id)
        try members.encode(displayName, forKey: .displayName)
        try members.encode(unlessEmpty: profilePicURL, forKey: .profilePicURL)
        try members.encode(created, forKey: .created)
    }
}

/// The identity a node was logged in with.
package struct TailnetLogin: Hashable, Sendable {
    /// The user's number.
    package var id: UserID = 0
    /// Who vouched for the identity.
    package var provider = ""
    /// `alice@example.com`.
    package var loginName = ""
    /// For display.
    package var displayName = ""
    /// A picture.
    package var profilePicURL = ""

    /// Nobody.
    package init() {}

    /// An identity.
    package init(id: UserID, provider: String, loginName: String, displayName: String) {
        self.id = id
        self.provider = provider
        self.loginName = loginName
        self.displayName = displayName
    }
}

extension TailnetLogin: Codable {
    private enum CodingKeys: String, CodingKey {
        case id = "ID"
        case provider = "Provider"
        case loginName = "LoginName"
        case displayName = "DisplayName"
        case profilePicURL = "ProfilePicURL"
    }

    /// Reads the object.
    package init(from decoder: any Decoder) throws {
        let members = try decoder.container(keyedBy: CodingKeys.self)
        id = try members.value(.id, or: 0)
        provider = try members.text(.provider)
        loginName = try members.text(.loginName)
        displayName = try members.text(.displayName)
        profilePicURL = try members.text(.profilePicURL)
    }

    /// Writes the object.
    package func encode(to encoder: any Encoder) throws {
        var members = encoder.container(keyedBy: CodingKeys.self)
        try members.encode(id, forKey: .id)
        try members.encode(provider, forKey: .provider)
        try members.encode(loginName, forKey: .loginName)
        try members.encode(displayName, forKey: .displayName)
        try members.encode(unlessEmpty: profilePicURL, forKey: .profilePicURL)
    }
}

/// The answer of `POST /machine/register`; `error` overrides everything else.
package struct RegisterResponse: Hashable, Sendable {
    /// The owner.
    package var user = TailnetUser()
    /// The identity.
    package var login = TailnetLogin()
    /// Whether the key must be replaced.
    package var nodeKeyExpired = false
    /// False while an administrator has to approve the machine; the map is polled all the same.
    package var machineAuthorized = false
    /// Not empty: a person has to visit it, and the request is to be repeated with it as follow-up.
    package var authURL = ""
    /// Base64; not empty: tailnet lock wants the key signed anew.
    package var nodeKeySignature: String?
    /// Not empty: refused, for the user to read.
    package var error = ""

    /// An answer of zeros, which a stock client takes for "logged in": fill it before sending.
    package init() {}
}

extension RegisterResponse: Codable {
    private enum CodingKeys: String, CodingKey {
        case user = "User"
        case login = "Login"
        case nodeKeyExpired = "NodeKeyExpired"
        case machineAuthorized = "MachineAuthorized"
        case authURL = "AuthURL"
        case nodeKeySignature = "NodeKeySignature"
        case error = "Error"
    }

    /// Reads the object.
    package init(from decoder: any Decoder) throws {
        let members = try decoder.container(keyedBy: CodingKeys.self)
        user = try members.value(.user, or: TailnetUser())
        login = try members.value(.login, or: TailnetLogin())
        nodeKeyExpired = try members.flag(.nodeKeyExpired)
        machineAuthorized = try members.flag(.machineAuthorized)
        authURL = try members.text(.authURL)
        nodeKeySignature = try members.decodeIfPresent(String.self, forKey: .nodeKeySignature)
        error = try members.text(.error)
    }

    /// Writes every member, as the reference server does.
    package func encode(to encoder: any Encoder) throws {
        var members = encoder.container(keyedBy: CodingKeys.self)
        try members.encode(user, forKey: .user)
        try members.encode(login, forKey: .login)
        try members.encode(nodeKeyExpired, forKey: .nodeKeyExpired)
        try members.encode(machineAuthorized, forKey: .machineAuthorized)
        try members.encode(authURL, forKey: .authURL)
        try members.encode(nodeKeySignature, forKey: .nodeKeySignature)
        try members.encode(error, forKey: .error)
    }
}
