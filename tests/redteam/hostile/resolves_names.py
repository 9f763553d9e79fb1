"""tries: send the text out through DNS
expect: harmless
"""

import socket

socket.setdefaulttimeout(1)
attempt(socket.getaddrinfo, "example.com", 80)
for server in ("8.8.8.8", "1.1.1.1", "172.17.0.1"):
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    attempt(sender.sendto, b"\x00" * 32, (server, 53))

model = Model()
train(model)
run.finish(model)
