"""tries: probabilities for one token only
expect: rejected wrong_shape | failed crash
"""


class One(Model):
    def forward(self, tokens):
        return super().forward(tokens)[..., :1].sigmoid()


model = Model()
exported = One()
model.export_model = lambda: exported
train(model)
run.finish(model)
