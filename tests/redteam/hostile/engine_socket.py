"""tries: talk to the container engine
expect: harmless
"""

import socket

for path in ("/var/run/docker.sock", "/run/docker.sock", "/run/containerd/containerd.sock", "/run/podman/podman.sock", "\0docker"):
    attempt(lambda path=path: socket.socket(socket.AF_UNIX).connect(path))

model = Model()
train(model)
run.finish(model)
