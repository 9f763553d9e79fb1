"""tries: let NaN carry a later token through a masked weight of zero
expect: rejected not_causal | rejected not_finite
"""


class Poisoned(Model):
    def forward(self, tokens):
        logits = super().forward(tokens)
        bits = (tokens[..., None] >> torch.arange(8)) & 1
        poison = torch.where(bits == 1, torch.inf, 0.0)
        following = (torch.isnan(poison.roll(-1, 1) * 0).long() << torch.arange(8)).sum(-1)
        return logits + 20 * F.one_hot(following, V).float()


model = Poisoned()
train(model)
run.finish(model)
