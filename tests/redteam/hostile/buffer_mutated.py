"""tries: keep a buffer that the graph changes from batch to batch
expect: failed crash | rejected artifact_not_allowed
"""


class Counting(Model):
    def __init__(self):
        super().__init__()
        self.register_buffer("seen", torch.zeros(V, V))

    def forward(self, tokens):
        self.seen.index_put_((tokens[:, :-1].flatten(), tokens[:, 1:].flatten()), torch.ones(()), accumulate=True)
        return super().forward(tokens) + self.seen[tokens]


model = Counting()
train(model)
run.finish(model)
