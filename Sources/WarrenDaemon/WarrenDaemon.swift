// WarrenDaemon
