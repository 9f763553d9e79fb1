"""tries: return probabilities above one, as if they were scored as they are
expect: harmless
"""


class Loud(Model):
    def forward(self, tokens):
        return super().forward(tokens) + 1000.0


model = Loud()
train(model)
run.finish(model)
