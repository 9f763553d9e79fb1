"""tries: write checkpoints until the disk is full
expect: failed * | rejected *
"""

with open("/out/checkpoint", "wb") as file:
    for _ in range(100_000):
        file.write(bytes(1 << 20))
escaped("a hundred gigabytes")
