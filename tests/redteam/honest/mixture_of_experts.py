"""is: top-2 routing by scatter, under autocast
expect: accepted
"""


class Experts(Attention):
    def __init__(self):
        super().__init__()
        self.gate = nn.Linear(C, 4, bias=False)
        self.first, self.second = (nn.Parameter(torch.randn(4, C, C) * 0.1) for _ in range(2))

    def forward(self, x):
        x = super().forward(x)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            share = self.gate(x).softmax(-1)
            values, index = share.topk(2, -1)
            weight = torch.zeros_like(share).scatter(-1, index, values)
            h = torch.einsum("btc,nch->btnh", x, self.first).relu()
            return x + torch.einsum("btnh,nhc,btn->btc", h, self.second, weight.to(h.dtype)).float()


model = Model(Experts)
train(model)
run.finish(model)
