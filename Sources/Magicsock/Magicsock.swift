// Magicsock
