"""tries: make files until there are no inodes
expect: failed * | rejected * | harmless
"""

made = 0
try:
    for made in range(10_000_000):
        open(f"/out/{made}", "w").close()
except OSError as error:
    print(made, error)
if made > 1_000_000:
    escaped(made)

model = Model()
train(model)
run.finish(model)
