// DERP
