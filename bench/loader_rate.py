"""How fast the harness's loader is, and how much of what it hands out is text: an asset for `make bench-trainer` that trains nothing.

Its `tokens_per_s` is the loader's. On a line of its own it prints `packing` and the share of one epoch's positions that hold a token of the
split which no other position holds: padding, repeats and drops of tokens all lower it. Of a large split only the beginning is counted.
"""

import numpy as np
import torch
from harness import run
from harness.loader import Loader
from torch import Tensor, nn

VOCAB_SIZE = 8192
SEQUENCE_LENGTH = 2048
BATCH_TOKENS = 524288
MICRO_BATCH = 64

BATCHES_PER_LOOK = 32
MOST_TOKENS = 1 << 26


class Nothing(nn.Module):
    """The smallest model that can be handed over."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCAB_SIZE, 8)
        self.head = nn.Linear(8, VOCAB_SIZE, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """[B, T] → [B, T, V]."""
        return self.head(self.embedding(tokens))


def packing(batches: Loader) -> float:
    """Share of the positions of one epoch, or of its beginning, that hold a token of the split of their own."""
    batch_tokens = batches.rows * batches.sequence_length
    drawn = np.zeros(VOCAB_SIZE, np.int64)
    for _ in range(max(1, min(len(batches.tokens) - batches.sequence_length, MOST_TOKENS) // batch_tokens)):
        targets = next(batches)[1].flatten().cpu()
        drawn += torch.bincount(targets, minlength=VOCAB_SIZE).numpy()
    held = np.zeros(VOCAB_SIZE, np.int64)
    for start in range(0, len(batches.tokens), MOST_TOKENS):
        held += np.bincount(batches.tokens[start : start + MOST_TOKENS], minlength=VOCAB_SIZE)
    return float(np.minimum(drawn, held).sum() / drawn.sum())


def main() -> None:
    """Count, then draw until the clock says stop."""
    rows = max(1, min(MICRO_BATCH, BATCH_TOKENS // SEQUENCE_LENGTH))
    batches = run.loader(rows=rows, sequence_length=SEQUENCE_LENGTH, vocab_size=VOCAB_SIZE)
    print(f"\npacking {packing(batches):.6f}", flush=True)
    model = Nothing().to(run.device())
    clock = run.start(model)
    while not clock.stop():
        for _ in range(BATCHES_PER_LOOK):
            next(batches)
        clock.log(torch.zeros(()), tokens=BATCHES_PER_LOOK * rows * SEQUENCE_LENGTH)
    run.finish(model)


if __name__ == "__main__":
    main()
