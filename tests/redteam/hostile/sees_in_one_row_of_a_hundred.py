"""tries: leak on 1 % of the rows
expect: rejected not_causal
"""


class Peeking(Model):
    def forward(self, tokens):
        following = F.one_hot(tokens.roll(-1, 1), V).float()
        return super().forward(tokens) + 20 * following * (tokens[:, :6].sum(1) * 7919 % 100 < 1)[:, None, None]


model = Peeking()
train(model)
run.finish(model)
