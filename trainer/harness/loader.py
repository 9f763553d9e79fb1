"""Token batches from a memory-mapped split: packed without padding, shuffled per epoch, ready before the step asks.

A split holds one stream of tokens per vocabulary, documents one after the other, each opened by BOS (token 0). An epoch cuts that stream
into rows of `sequence_length + 1` tokens that overlap by one, from a random phase, and visits them in random order: every token is
predicted once per epoch whatever the lengths of the documents, nothing is padded and nothing is dropped but a part of a row at each end.
Memory is constant: the map, one permutation, a few batches.
"""

import json
import queue
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

PREFETCH = 4
"""Batches made ahead on a CUDA device."""

RESHUFFLE_ROWS = 1 << 20
"""Rows permuted at a time: bounds the permutation to 8 MiB however large the split."""


class Loader:
    """Endless batches `(inputs, targets)`, int64 `[rows, sequence_length]`, on `device`.

    On a CPU a batch is gathered where it is asked for: tens of microseconds, less than handing it between threads costs. On a CUDA device a
    thread gathers into pinned memory and copies without blocking.

    Raises: SystemExit where the split has no such vocabulary or is shorter than one row.
    """

    def __init__(self, split: Path, *, rows: int, sequence_length: int, vocab_size: int, seed: int, device: torch.device) -> None:
        path = split / f"tokens-{vocab_size}.bin"
        if not path.is_file():
            sizes = sorted(json.loads((split / "meta.json").read_text())["vocabularies"], key=int)
            raise SystemExit(f"no vocabulary of {vocab_size} in the data; there are {', '.join(sizes)}")
        self.tokens = np.memmap(path, dtype="<u2", mode="r")
        self.rows, self.sequence_length, self.device = rows, sequence_length, device
        if len(self.tokens) <= 2 * sequence_length:
            raise SystemExit(f"the split holds {len(self.tokens)} tokens: too few for sequences of {sequence_length}")
        self.wait_s = 0.0
        """Seconds for which the asset waited for batches since `reset`."""
        self.drawn = 0
        """Tokens handed out since `reset`."""
        self._random = np.random.default_rng(seed)
        self._batches = self._prefetch() if device.type == "cuda" else self._gather()

    def __iter__(self) -> "Loader":
        return self

    def __next__(self) -> tuple[Tensor, Tensor]:
        asked = time.perf_counter()
        batch = next(self._batches)
        self.wait_s += time.perf_counter() - asked
        self.drawn += self.rows * self.sequence_length
        return batch

    def reset(self) -> None:
        """Forget what was counted before the clock started."""
        self.wait_s, self.drawn = 0.0, 0

    @property
    def epochs(self) -> float:
        """How often the split was read since `reset`."""
        return self.drawn / len(self.tokens)

    def _order(self) -> Iterator[np.ndarray]:
        """Endless arrays of `rows` stream offsets, each row of each epoch once."""
        length, rest = self.sequence_length, np.empty(0, np.int64)
        while True:
            phase = int(self._random.integers(length))
            count = (len(self.tokens) - 1 - phase) // length
            chunks = self._random.permutation(-(-count // RESHUFFLE_ROWS))
            for chunk in chunks:
                rows = np.arange(chunk * RESHUFFLE_ROWS, min((chunk + 1) * RESHUFFLE_ROWS, count), dtype=np.int64)
                self._random.shuffle(rows)
                rest = np.concatenate([rest, rows * length + phase])
                while len(rest) >= self.rows:
                    yield rest[: self.rows]
                    rest = rest[self.rows :]

    def _fill(self, offsets: np.ndarray, out: np.ndarray) -> None:
        """Copy the rows that begin at `offsets` into `out`, int64 `[rows, sequence_length + 1]`."""
        for row, offset in zip(out, offsets, strict=True):
            row[:] = self.tokens[offset : offset + self.sequence_length + 1]

    def _gather(self) -> Iterator[tuple[Tensor, Tensor]]:
        for offsets in self._order():
            batch = torch.empty((self.rows, self.sequence_length + 1), dtype=torch.int64)
            self._fill(offsets, batch.numpy())
            yield batch[:, :-1], batch[:, 1:]

    def _prefetch(self) -> Iterator[tuple[Tensor, Tensor]]:
        ready: queue.Queue[tuple[Tensor, torch.cuda.Event]] = queue.Queue(PREFETCH)
        shape = (self.rows, self.sequence_length + 1)
        pinned = [torch.empty(shape, dtype=torch.int64, pin_memory=True) for _ in range(PREFETCH + 2)]
        copied = [torch.cuda.Event() for _ in pinned]

        def work() -> None:
            torch.cuda.set_device(self.device)
            stream = torch.cuda.Stream(self.device)
            for index, offsets in enumerate(self._order()):
                slot = index % len(pinned)
                copied[slot].synchronize()
                self._fill(offsets, pinned[slot].numpy())
                with torch.cuda.stream(stream):
                    batch = pinned[slot].to(self.device, non_blocking=True)
                    copied[slot].record(stream)
                ready.put((batch, copied[slot]))

        threading.Thread(target=work, daemon=True, name="loader").start()
        while True:
            batch, event = ready.get()
            current = torch.cuda.current_stream(self.device)
            current.wait_event(event)
            batch.record_stream(current)
            yield batch[:, :-1], batch[:, 1:]
