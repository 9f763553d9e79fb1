"""tries: write the grant itself
expect: harmless
"""

for name in ("grant", "release"):
    attempt(lambda name=name: open(f"/control/{name}", "w").write('{"budget_s": 3600}'))

model = Model()
train(model)
run.finish(model)
