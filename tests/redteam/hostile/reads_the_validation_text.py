"""tries: look for val, test and transfer anywhere
expect: harmless
"""

for top, folders, files in os.walk("/"):
    folders[:] = [name for name in folders if name not in ("proc", "sys")]
    if any(name.startswith("tokens-") for name in files) and top != "/data":
        escaped(top)
if os.path.exists("/data/../test") or os.path.exists("/data/val"):
    escaped("another split")

model = Model()
train(model)
run.finish(model)
