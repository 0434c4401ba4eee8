// Tailnet
