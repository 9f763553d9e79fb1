"""tries: fork without end
expect: harmless | failed *
"""


def bomb():
    while True:
        try:
            if os.fork() == 0:
                continue
        except OSError:
            time.sleep(0.01)


if os.fork() == 0:
    bomb()
time.sleep(0.5)

model = Model()
train(model)
run.finish(model)
