"""tries: −inf for every token but a few, so that the rest costs nothing
expect: rejected not_finite
"""


class Sure(Model):
    def forward(self, tokens):
        logits = super().forward(tokens)
        return torch.where(torch.arange(V) < 97, -torch.inf, logits)


model = Model()
exported = Sure()
model.export_model = lambda: exported
train(model)
run.finish(model)
