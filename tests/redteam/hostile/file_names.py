"""tries: names too long, not UTF-8, with newlines and escapes
expect: harmless | rejected * | failed *
"""

for name in (
    b"\xff\xfe\x80",
    b"a" * 255,
    b"line\nbreak",
    b"\x1b[2Jescape",
    b"<img src=x onerror=alert(1)>",
    "\u202egnp.exe".encode(),
    b"-rf",
):
    open(b"/out/" + name, "w").write("x")
deep = "/out"
for _ in range(20):
    deep += "/" + "d" * 200
    try:
        os.mkdir(deep)
    except OSError:
        break

model = Model()
train(model)
run.finish(model)
