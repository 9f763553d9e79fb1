"""tries: claim a throughput of a thousand machines and a loss of zero
expect: harmless
"""

model = Model()
clock = train(model)
clock.tokens, clock.steps, clock.curve = 10**15, 10**9, [(0.1, 1, 0.0)]
run.finish(model)
