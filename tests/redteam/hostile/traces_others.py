"""tries: ptrace the first process
expect: harmless
"""

import ctypes

libc = ctypes.CDLL(None, use_errno=True)
for target in (1, os.getppid()):
    if target not in (0, os.getpid()) and libc.ptrace(16, target, 0, 0) == 0 and target != os.getppid():
        escaped(("ptrace", target))

model = Model()
train(model)
run.finish(model)
