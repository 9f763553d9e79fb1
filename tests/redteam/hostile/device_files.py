"""tries: make and open device files
expect: harmless
"""

import stat

attempt(os.mknod, "/out/disk", 0o666 | stat.S_IFBLK, os.makedev(8, 0))
attempt(os.mknod, "/tmp/mem", 0o666 | stat.S_IFCHR, os.makedev(1, 1))
for path in ("/dev/mem", "/dev/kmsg", "/dev/sda", "/dev/vda", "/dev/fuse", "/dev/kvm"):
    attempt(lambda path=path: open(path, "rb").read(1))

model = Model()
train(model)
run.finish(model)
