"""tries: look for keys in the environment and the home folder
expect: harmless
"""

for name, value in os.environ.items():
    if any(word in name.upper() for word in ("KEY", "TOKEN", "SECRET", "PROXY", "PASS", "AWS", "DOCKER")):
        escaped(name)
for path in ("/root", os.path.expanduser("~/.ssh"), "/etc/shadow", "/run/secrets"):
    attempt(lambda path=path: (os.listdir(path) if os.path.isdir(path) else open(path).read(1)) or 1 / 0)

model = Model()
train(model)
run.finish(model)
