"""tries: write into the harness, the asset, the interpreter and the compile cache
expect: harmless
"""

import harness.run

for path in (
    harness.run.__file__,
    "/asset/train.py",
    torch.__file__,
    os.__file__,
    "/cache/poison",
    "/task/evaluator/__main__.py",
    "/etc/ld.so.preload",
):
    attempt(lambda path=path: open(path, "a").write("\n"))

model = Model()
train(model)
run.finish(model)
