/// What a node shows about a user.
package struct UserProfile: Hashable, Sendable {
    /// The user's number.
    package var id: UserID
    /// `alice@example.com`, for display.
    package var loginName: String
    /// `Alice`, for display.
    package var displayName: String
    /// A picture.
    package var profilePicURL: String
    /// Groups that control shows.
    package var groups: [String] = []

    /// Describes a user.
    package init(id: UserID, loginName: String, displayName: String, profilePicURL: String = "") {
        self.id = id
        self.loginName = loginName
        self.displayName = displayName
        self.profilePicURL = profilePicURL
    }
}

extension UserProfile: Codable {
    private enum CodingKeys: String, CodingKey {
        case id = "ID"
        case loginName = "LoginName"
        case displayName = "DisplayName"
        case profilePicURL = "ProfilePicURL"
        case groups = "Groups"
    }

    /// Reads the object.
    package init(from decoder: any Decoder) throws {
        let members = try decoder.container(keyedBy: CodingKeys.self)
        id = try members.value(.id, or: 0)
        loginName = try members.text(.loginName)
        displayName = try members.text(.displayName)
        profilePicURL = try members.text(.profilePicURL)
        groups = try members.list(.groups)
    }

    /// Writes the object.
    package func encode(to encoder: any Encoder) throws {
        var members = encoder.container(keyedBy: CodingKeys.self)
        try members.encode(id, forKey: .id)
        try members.encode(loginName, forKey: .loginName)
        try members.encode(displayName, forKey: .displayName)
        try members.encode(unlessEmpty: profilePicURL, forKey: .profilePicURL)
        try members.encode(unlessEmpty: groups, forKey: .groups)
    }
}
