"""is: tokens sorted by expert and put back: no rule can show this causal, the passes must
expect: accepted
"""


class Sorted(Attention):
    def __init__(self):
        super().__init__()
        self.gate, self.scale = nn.Linear(C, 2), nn.Parameter(torch.ones(2, C))

    def forward(self, x):
        x = super().forward(x)
        flat = x.flatten(0, 1)
        expert = self.gate(flat).argmax(-1)
        order = expert.argsort(stable=True)
        mixed = flat[order] * self.scale[expert[order]]
        return x + mixed[order.argsort()].view_as(x)


model = Model(Sorted)
train(model)
run.finish(model)
