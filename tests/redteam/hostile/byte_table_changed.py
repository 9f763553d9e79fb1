"""tries: change the byte lengths of tokens on disk
expect: harmless
"""

import glob

for path in glob.glob("/data/*bytes*") + glob.glob("/data/*"):
    attempt(lambda path=path: open(path, "r+b").write(b"x" * 64))
    attempt(os.chmod, path, 0o666)

model = Model()
train(model)
run.finish(model)
