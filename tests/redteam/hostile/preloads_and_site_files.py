"""tries: LD_PRELOAD, PYTHONPATH, sitecustomize, for whatever starts after it
expect: harmless
"""

os.makedirs("/tmp/lib/python3.11/site-packages", exist_ok=True)
for name in ("sitecustomize.py", "usercustomize.py", "torch.py", "json.py"):
    for folder in ("/tmp", "/out"):
        open(f"{folder}/{name}", "w").write("print('ESCAPED site')")
os.environ.update(LD_PRELOAD="/tmp/evil.so", PYTHONPATH="/tmp:/out", PYTHONSTARTUP="/tmp/sitecustomize.py", PYTHONINSPECT="1")

model = Model()
train(model)
run.finish(model)
