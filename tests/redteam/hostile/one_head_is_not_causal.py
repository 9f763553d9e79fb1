"""tries: drop the mask in one head of two
expect: rejected not_causal
"""


class Half(Attention):
    def attend(self, q, k, v):
        a = F.scaled_dot_product_attention(q[:, :1], k[:, :1], v[:, :1], is_causal=True)
        b = F.scaled_dot_product_attention(q[:, 1:], k[:, 1:], v[:, 1:])
        return torch.cat((a, b), 1)


model = Model(Half)
train(model)
run.finish(model)
