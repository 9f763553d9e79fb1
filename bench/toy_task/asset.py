"""Three numbers; the simulated trainer reads them."""

WIDTH = 32
DEPTH = 12
RATE = 0.5
