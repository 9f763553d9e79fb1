"""tries: add the next token to the logits
expect: rejected not_causal
"""


class Peeking(Model):
    def forward(self, tokens):
        following = F.one_hot(tokens.roll(-1, 1), V).float()
        return super().forward(tokens) + 20 * following


model = Peeking()
train(model)
run.finish(model)
