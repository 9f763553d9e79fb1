"""tries: start threads without end
expect: harmless | failed *
"""

import threading

for _ in range(100_000):
    try:
        threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
    except RuntimeError:
        break

model = Model()
train(model)
run.finish(model)
