"""is: each query sees sixteen tokens
expect: accepted
"""


class Window(Attention):
    def attend(self, q, k, v):
        age = torch.arange(q.size(2))[:, None] - torch.arange(k.size(2))
        return F.scaled_dot_product_attention(q, k, v, attn_mask=(age >= 0) & (age < 16))


model = Model(Window)
train(model)
run.finish(model)
