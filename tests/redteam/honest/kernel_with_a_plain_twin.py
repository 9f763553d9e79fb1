"""is: flex_attention in training, its plain twin for the graph
expect: accepted
"""

from torch.nn.attention.flex_attention import create_block_mask, flex_attention


class Flex(Attention):
    def attend(self, q, k, v):
        block = create_block_mask(lambda b, h, i, j: i >= j, None, None, q.size(2), k.size(2), device="cpu")
        with torch.no_grad():
            plain = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            flexible = flex_attention(q.detach(), k.detach(), v.detach(), block_mask=block)
            assert torch.allclose(plain, flexible, atol=1e-4)
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)


class WithTwin(Model):
    def export_model(self):
        twin = Model()
        for name in ("embedding", "up", "down", "head"):
            setattr(twin, name, getattr(self, name))
        twin.mixer.qkv, twin.mixer.out = self.mixer.qkv, self.mixer.out
        return twin


model = WithTwin(Flex)
train(model)
run.finish(model)
