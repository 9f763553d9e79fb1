"""is: written into slices, and a causal convolution
expect: accepted
"""


class Shift(nn.Module):
    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv1d(C, C, 4, padding=3)
        self.mix = nn.Parameter(torch.zeros(C))

    def forward(self, x):
        before = torch.empty_like(x)
        before[:, :1] = 0
        before[:, 1:] = x[:, :-1]
        return x + self.mix * before + self.convolution(x.mT)[..., : x.size(1)].mT


model = Model(Shift)
train(model)
run.finish(model)
