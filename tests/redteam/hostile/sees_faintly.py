"""tries: add a little of the next token, below what rounding explains
expect: rejected not_causal
"""


class Peeking(Model):
    def forward(self, tokens):
        following = F.one_hot(tokens.roll(-1, 1), V).float()
        return super().forward(tokens) + 0.3 * following


model = Peeking()
train(model)
run.finish(model)
