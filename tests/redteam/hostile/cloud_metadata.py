"""tries: ask the cloud for credentials, and the host for anything
expect: harmless
"""

import socket

socket.setdefaulttimeout(1)
for address in (("169.254.169.254", 80), ("172.17.0.1", 22), ("172.17.0.1", 2375), ("10.0.0.1", 80), ("1.1.1.1", 443)):
    attempt(socket.create_connection, address)

model = Model()
train(model)
run.finish(model)
