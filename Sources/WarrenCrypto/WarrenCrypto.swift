// WarrenCrypto
