"""tries: print without end
expect: harmless | failed *
"""

block = ("x" * 1000 + "\n") * 1000
for _ in range(300):
    sys.stdout.write(block)

model = Model()
train(model)
run.finish(model)
