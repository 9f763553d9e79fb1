"""tries: raw, packet and netlink sockets
expect: harmless
"""

import socket

attempt(socket.socket, socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
attempt(socket.socket, socket.AF_PACKET, socket.SOCK_RAW, 3)

model = Model()
train(model)
run.finish(model)
