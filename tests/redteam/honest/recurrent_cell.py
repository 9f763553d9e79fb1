"""is: a GRU instead of attention
expect: accepted
"""


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = nn.GRU(C, C, batch_first=True)

    def forward(self, x):
        return x + self.cell(x)[0]


model = Model(Recurrent)
train(model)
run.finish(model)
