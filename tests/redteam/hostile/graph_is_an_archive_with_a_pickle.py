"""tries: hand over what torch.export saves, with sample inputs that run code when loaded
expect: rejected artifact_not_allowed
"""


class Bomb:
    def __reduce__(self):
        return (os.system, ("echo ESCAPED pickle",))


torch.save({"sample_inputs": Bomb()}, "/out/graph.json")
run.protocol.say("mark")
time.sleep(20)
