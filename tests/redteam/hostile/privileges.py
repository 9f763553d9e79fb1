"""tries: become root: setuid, mount, unshare, chroot, modules, namespaces
expect: harmless
"""

import ctypes

libc = ctypes.CDLL(None, use_errno=True)
attempt(os.setuid, 0)
attempt(os.setgroups, [0])
attempt(os.chroot, "/tmp")
attempt(os.nice, -10)
for name, args in (
    ("mount", (b"none", b"/tmp", b"tmpfs", 0, None)),
    ("unshare", (0x10000000,)),
    ("setns", (0, 0)),
    ("init_module", (None, 0, b"")),
    ("sethostname", (b"x", 1)),
):
    if getattr(libc, name)(*args) == 0:
        escaped(name)

model = Model()
train(model)
run.finish(model)
