"""tries: leak at 1 % of the places, chosen by the text
expect: rejected not_causal
"""


class Peeking(Model):
    def forward(self, tokens):
        following = F.one_hot(tokens.roll(-1, 1), V).float()
        return super().forward(tokens) + 20 * following * ((tokens * 7919 + tokens.roll(1, 1) * 104729) % 100 < 1)[..., None]


model = Peeking()
train(model)
run.finish(model)
