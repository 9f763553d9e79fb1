"""tries: replace graph.json after the host has seen it
expect: harmless | rejected artifact_changed
"""

from harness import graph


class Peeking(Model):
    def forward(self, tokens):
        return super().forward(tokens) + 20 * F.one_hot(tokens.roll(-1, 1), V)


model = Peeking()
honest, model.__class__ = model.__class__, Model
train(model)
model.__class__ = honest
from pathlib import Path

graph.export(model, (B, T), Path("/out"))
run.finish(model)
