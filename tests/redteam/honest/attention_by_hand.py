"""is: scores masked with a large number, softmax, product
expect: accepted
"""


class ByHand(Attention):
    def attend(self, q, k, v):
        later = torch.ones(q.size(2), q.size(2), dtype=torch.bool).triu(1)
        return (q @ k.mT / q.size(-1) ** 0.5).masked_fill(later, -1e9).softmax(-1) @ v


model = Model(ByHand)
train(model)
run.finish(model)
