"""tries: look for the next text in the other rows of the batch
expect: rejected not_causal
"""


class Neighbour(Model):
    def features(self, tokens):
        x = super().features(tokens)
        return x + x.roll(-1, 0)


model = Neighbour()
train(model)
run.finish(model)
