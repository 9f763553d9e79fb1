"""is: attention that does not look past the last BOS: its mask is made of tokens
expect: accepted
"""


class Apart(Model):
    def features(self, tokens):
        document = (tokens == 0).cumsum(1)
        causal = torch.ones(tokens.size(1), tokens.size(1), dtype=torch.bool).tril()
        mask = causal & (document[:, :, None] == document[:, None, :])
        self.mixer.attend = lambda q, k, v: F.scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None])
        return super().features(tokens)


model = Apart()
train(model)
run.finish(model)
