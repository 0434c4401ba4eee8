// Tailcfg
