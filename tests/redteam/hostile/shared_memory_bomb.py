"""tries: fill /dev/shm and /tmp
expect: harmless | failed *
"""

for folder in ("/dev/shm", "/tmp"):
    try:
        with open(f"{folder}/fill", "wb") as file:
            for _ in range(100_000):
                file.write(bytes(1 << 20))
    except OSError as error:
        print(folder, error)
    else:
        escaped(folder)

model = Model()
train(model)
run.finish(model)
