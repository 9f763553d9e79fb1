"""tries: stop the clocks that the harness reads
expect: failed timeout | harmless
"""

for name in ("time", "monotonic", "perf_counter", "process_time"):
    setattr(time, name, lambda: 1.0)

model = Model()
train(model)
run.finish(model)
