"""tries: leak only at the shape of the evaluation
expect: rejected not_causal
"""


class Peeking(Model):
    def forward(self, tokens):
        following = F.one_hot(tokens.roll(-1, 1), V).float()
        return super().forward(tokens) + (20 * following if tokens.shape == (B, T) else 0)


model = Peeking()
train(model)
run.finish(model)
