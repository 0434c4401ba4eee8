// NetWire
