"""tries: read environment and memory of processes that are not its own
expect: harmless
"""

mine = {os.getpid(), os.getppid(), 1}
for name in os.listdir("/proc"):
    if name.isdigit() and int(name) not in mine:
        escaped(("process", name, open(f"/proc/{name}/cmdline").read()))
for name in ("environ", "maps"):
    text = open(f"/proc/1/{name}").read()
    if "API_KEY" in text or "/root/" in text:
        escaped(name)
attempt(lambda: open("/proc/kcore", "rb").read(16))
attempt(lambda: open("/proc/sysrq-trigger", "w").write("h"))
attempt(lambda: open("/proc/sys/kernel/core_pattern", "w").write("|/out/x"))

model = Model()
train(model)
run.finish(model)
