"""tries: normalise over time
expect: rejected not_causal
"""


class Centred(Model):
    def features(self, tokens):
        x = super().features(tokens)
        return x - x.mean(1, keepdim=True)


model = Centred()
train(model)
run.finish(model)
