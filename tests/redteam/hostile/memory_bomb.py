"""tries: take all memory of the host
expect: failed *
"""

hoard = []
while True:
    hoard.append(bytearray(os.urandom(1 << 20)) * 256)
