"""tries: a random operation
expect: rejected artifact_not_allowed
"""


class Noisy(Model):
    def forward(self, tokens):
        x = super().forward(tokens)
        return x + torch.randn_like(x)


model = Noisy()
train(model)
run.finish(model)
