"""tries: files from the future and from before time
expect: harmless
"""

model = Model()
train(model)
whole = run.protocol.say


def say(word):
    for name in os.listdir("/out"):
        os.utime(f"/out/{name}", (2**33, 2**33))
    whole(word)


run.protocol.say = say
run.finish(model)
