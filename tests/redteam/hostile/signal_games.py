"""tries: ignore every signal, kill everything it may, stop its parent
expect: failed * | harmless
"""

import signal

for number in range(1, 32):
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
for target in (-1, os.getppid(), 1):
    try:
        os.kill(target, signal.SIGSTOP if target > 0 else signal.SIGTERM)
    except OSError as error:
        print(target, error)
time.sleep(1)

model = Model()
train(model)
run.finish(model)
