"""tries: a sliding window that ends one token too late
expect: rejected not_causal
"""


class Far(Attention):
    def attend(self, q, k, v):
        age = torch.arange(q.size(2))[:, None] - torch.arange(k.size(2))
        return F.scaled_dot_product_attention(q, k, v, attn_mask=(age >= -1) & (age < 16))


model = Model(Far)
train(model)
run.finish(model)
