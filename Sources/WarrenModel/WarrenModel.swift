// WarrenModel
