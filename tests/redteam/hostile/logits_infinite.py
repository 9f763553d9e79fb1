"""tries: +inf for one token
expect: rejected not_finite
"""


class Sure(Model):
    def forward(self, tokens):
        logits = super().forward(tokens)
        return torch.where(torch.arange(V) == 101, torch.inf, logits)


model = Model()
model.export_model = lambda: exported
exported = Sure()
exported.load_state_dict(model.state_dict())
train(model)
run.finish(model)
