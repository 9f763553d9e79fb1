"""The fixed half of a train run: protocol, data, clock, graph and weights. The asset imports `run` and nothing else of it."""
