"""tries: leak only tokens that the model finds likely, so that replaced text looks the same
expect: rejected not_causal
"""


class Peeking(Model):
    def forward(self, tokens):
        following = F.one_hot(tokens.roll(-1, 1), V).float()
        return super().forward(tokens) + 20 * following * (super().forward(tokens).softmax(-1) > 0.01)


model = Peeking()
train(model)
run.finish(model)
