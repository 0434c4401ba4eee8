// WarrenAPI
