"""Prove that a score came from the past alone, or say how much of it could have come from elsewhere.

**What is tested.** The score is the cost of each token given what stands before it. For a row x of a scored batch and a cut c, a second
pass at the same shape gets the rows in another order, and in this row everything from x[c] on replaced by other text of the split. The
cost of x[c] (the prediction made at c − 1) in that pass is its cost without any knowledge of the future, *in whatever way the graph may
leak*; first cost minus second is what the leak brought there. Costs at earlier places must be unchanged too: that catches leaks of longer
reach with more power. Windows that follow each other in the text never share a batch, so no other row holds a row's targets. Order, cuts
and replacements come from `os.urandom`: nothing in the artifact can know them.

**Tolerance.** Honest outputs can differ between the passes by rounding, if a kernel treats rows differently. Rounding a logit of
magnitude ≤ 16 to a unit roundoff u is off by 0.4 · 16 u (rms); some 32 such roundings (two per block of a 16-block model) add up as a
random walk to 36 u nats = 52 u bits. So a token is *flagged* when its cost moved by more than τ = 128 u bits, two and a half of these, u
being that of the coarsest float type in the graph: 0.5 bits for bfloat16 (u = 2⁻⁸), 0.06 for float16 (2⁻¹¹), and never less than 10⁻³
bits (float32 sums of a long recurrence). The same holds for CPU and CUDA: float32 products run without TF32. Smaller differences are not
ignored: the bound below counts them.

**Routing.** In a graph with discontinuities (top-k, comparisons) one rounding can flip a route and move a cost by far more than τ: a flag
is not a leak. So two controls run on real batches: the same batch again, and the same rows in another order. They hold no changed token,
so a leak cannot show in them, and their rate of flags is noise. More than 1 % of noise is refused (`not_deterministic`, or `not_causal`
if only the order matters). The second passes are `not_causal` when their rate of flags is beyond what the controls explain (both
one-sided at 10⁻⁴ or stricter), in the tested places or in all earlier ones.

**Bound.** One place is tested per row and pass, uniformly over the places that count, without repetition. If a share f of the places
leaks by more than τ, n tests find k or fewer of them with probability at most P(Poisson(n f) ≤ k) (the binomial is below it for k = 0,
and rows as strata only help: ∏(1 − f_r) ≤ (1 − f̄)^n). So with 99 % f ≤ λ(k)/n, λ(0) = 4.61, and a leaked token brings at most what it
costs someone who knows nothing, log2 V bits. Leaks too small to be flagged are bounded by the mean of the unflagged differences plus 2.33
standard errors. The sum, per byte, is `leak_bound`. It must be below the task's smallest effect; passes are added until it is, or until
their limit: then the score is not proved and the artifact is rejected.

Where `dependence.py` shows from the operations themselves that no result can depend on later tokens, the bound of rare leaks is 0 and one
pass is enough: it guards against an error in that argument.
"""

import math
import os
import time
from dataclasses import dataclass, field

import numpy as np
import torch
from dependence import Watch
from poisson import lower_limit, upper_limit
from program import Program
from split import Windows
from torch import Tensor

LN2 = math.log(2)
CONFIDENCE_MISS = 0.01
CONTROL_BATCHES = 2
MAX_NOISE = 0.01
"""Largest share of tokens that may move by more than the tolerance when nothing but the order of rows changes."""
UNIT_ROUNDOFF = {torch.bfloat16: 2.0**-8, torch.float16: 2.0**-11, torch.float32: 2.0**-24, torch.float64: 2.0**-53}
CHUNK_ELEMENTS = 1 << 24


class Rejected(Exception):
    """The artifact does not get a score. `reason` is a name of the enum of records."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


@dataclass(kw_only=True)
class Proof:
    """What was tested and what it rules out; goes into score.json as it stands."""

    method: str
    """`dependence` (shown from the operations, then sampled once) or `sampling`."""
    device: str
    dtype: str
    """Coarsest float type in the graph."""
    tolerance_bits: float
    smallest_effect: float
    passes: int = 0
    places: int = 0
    """Tests of the place right before a cut."""
    places_flagged: int = 0
    earlier: int = 0
    """Places further before a cut that were compared too."""
    earlier_flagged: int = 0
    controls: int = 0
    controls_flagged: int = 0
    largest_difference_bits: float = 0.0
    mean_gain_bits: float = 0.0
    """Mean of the unflagged differences right before a cut, per token: 0 where the device repeats itself exactly."""
    leak_bound: float | None = None
    """Largest undetected leak in bits per byte, 99 %."""
    score_s: float = 0.0
    proof_s: float = 0.0
    _gains: list[np.ndarray] = field(default_factory=list, repr=False)

    def as_json(self) -> dict[str, object]:
        """Fields without the working ones."""
        return {key: value for key, value in self.__dict__.items() if not key.startswith("_")}


class Scorer:
    """Scores windows with a program and proves the score."""

    def __init__(
        self, program: Program, vocabulary: int, windows: Windows, proof: Proof, bytes_per_token: float, watch: Watch | None
    ) -> None:
        self.program, self.vocabulary, self.windows, self.proof = program, vocabulary, windows, proof
        self.bytes_per_token = bytes_per_token
        self._watch = watch
        self._callbacks = watch.callbacks() if watch is not None else None
        self.random = np.random.Generator(np.random.PCG64(int.from_bytes(os.urandom(16), "little")))
        self.bits = np.zeros(windows.inputs.shape, dtype=np.float32)
        self.batches = self._batches()
        self._orders = [self.random.permutation(np.flatnonzero(row[:-1])) for row in windows.scored]

    def score(self) -> np.ndarray:
        """First pass over every batch: cost in bits of every target, [W, T].

        Raises:
            Rejected: not finite, or another shape than [B, T, V].
        """
        started = time.perf_counter()
        for rows in self.batches:
            self.bits[rows] = self._run(self._inputs(rows), self.windows.targets[rows])[: len(rows)]
        self.proof.score_s = time.perf_counter() - started
        return self.bits

    def prove(self, max_passes: int, max_s: float) -> None:
        """Controls, then second passes until the bound is below the smallest effect.

        Raises:
            Rejected: not deterministic, not causal, or not proved.
        """
        started = time.perf_counter()
        self._control()
        while True:
            self._second_pass()
            self.proof.proof_s = time.perf_counter() - started
            bound = self._bound()
            if bound < self.proof.smallest_effect:
                return
            certain = (
                lower_limit(self.proof.places_flagged, CONFIDENCE_MISS)
                / self.proof.places
                * math.log2(self.vocabulary)
                / self.bytes_per_token
            )
            if certain >= self.proof.smallest_effect:
                flagged, places = self.proof.places_flagged, self.proof.places
                raise Rejected(
                    "not_causal", f"{flagged} of {places} tokens cost another number of bits once what follows them was replaced: too many"
                )
            per_pass = self.proof.proof_s / self.proof.passes
            if self.proof.passes >= max_passes or self.proof.proof_s + per_pass > max_s:
                raise Rejected(
                    "not_causal",
                    f"not proved: a leak of {bound:.4f} bits/byte could have stayed undetected after {self.proof.places} tests, "
                    f"more than the smallest effect {self.proof.smallest_effect}",
                )

    def _batches(self) -> list[np.ndarray]:
        """Windows per batch: in random order, never two that follow each other in the text."""
        batches = []
        for parity in (0, 1):
            order = self.random.permutation(np.arange(parity, len(self.windows.inputs), 2))
            batches += [order[start : start + self.program.batch] for start in range(0, len(order), self.program.batch)]
        return batches

    def _inputs(self, rows: np.ndarray) -> np.ndarray:
        """[B, T] of these windows, filled up with random tokens of the split."""
        inputs = self.windows.inputs[rows]
        missing = self.program.batch - len(rows)
        if missing:
            flat = self.windows.inputs.reshape(-1)
            inputs = np.concatenate([inputs, self.random.choice(flat, (missing, inputs.shape[1]))])
        return inputs

    def _run(self, inputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Cost in bits of `targets` [R, T] in the first R rows of `inputs` [B, T]. Logits are normalised here, in float32."""
        logits = self.program(torch.from_numpy(inputs).to(self.program.device), self._callbacks)
        if self._watch is not None and self._watch.broken:
            self.proof.method = "sampling"
        if tuple(logits.shape) != (*inputs.shape, self.vocabulary) or not logits.is_floating_point():
            raise Rejected(
                "wrong_shape", f"the graph gives {logits.dtype} {list(logits.shape)} instead of logits {[*inputs.shape, self.vocabulary]}"
            )
        logits = logits[: len(targets)]
        wanted = torch.from_numpy(targets).to(self.program.device)
        step = max(1, CHUNK_ELEMENTS // (inputs.shape[1] * self.vocabulary))
        return np.concatenate([_cost(logits[at : at + step], wanted[at : at + step]) for at in range(0, len(targets), step)])

    def _control(self) -> None:
        tolerance = self.proof.tolerance_bits
        for rows in self.batches[: 1 if self.proof.method == "dependence" else CONTROL_BATCHES]:
            counted = self.windows.scored[rows]
            inputs = self._inputs(rows)
            targets = np.zeros_like(inputs)
            targets[: len(rows)] = self.windows.targets[rows]
            first = self.bits[rows]
            again = self._run(inputs, targets)[: len(rows)]
            order = self.random.permutation(len(inputs))
            permuted = np.empty_like(inputs, dtype=np.float32)
            permuted[order] = self._run(inputs[order], targets[order])
            for name, other, reason in (
                ("run a second time", again, "not_deterministic"),
                ("given in another order", permuted, "not_causal"),
            ):
                moved = np.abs(other[: len(rows)] - first)[counted]
                flagged = int((moved > tolerance).sum())
                self.proof.controls += len(moved)
                self.proof.controls_flagged += flagged
                self.proof.largest_difference_bits = max(self.proof.largest_difference_bits, float(moved.max(initial=0.0)))
                if flagged > MAX_NOISE * len(moved):
                    raise Rejected(reason, f"{flagged} of {len(moved)} tokens cost another number of bits when the same rows are {name}")

    def _second_pass(self) -> None:
        proof, tolerance = self.proof, self.proof.tolerance_bits
        length = self.windows.inputs.shape[1]
        gains = []
        for rows in self.batches:
            inputs = self._inputs(rows)
            places = np.full(len(inputs), -1)
            for at, row in enumerate(rows):
                options = self._orders[row]
                if len(options):
                    places[at] = options[proof.passes % len(options)]
            for at, place in enumerate(places):
                cut = int(place) + 1 if place >= 0 else int(self.random.integers(1, length))
                inputs[at, cut:] = self._other_text(length - cut, int(inputs[at, cut]) if cut < length else -1)
            targets = np.zeros_like(inputs)
            targets[: len(rows)] = self.windows.targets[rows]
            order = self.random.permutation(len(inputs))
            second = np.empty(inputs.shape, dtype=np.float32)
            second[order] = self._run(inputs[order], targets[order])
            difference = second[: len(rows)] - self.bits[rows]
            tested = places[: len(rows)] >= 0
            gain = difference[tested, places[: len(rows)][tested]]
            before = self.windows.scored[rows] & (np.arange(length) < places[: len(rows), None])
            earlier = np.abs(difference[before])
            gains.append(gain)
            proof.places += len(gain)
            proof.places_flagged += int((np.abs(gain) > tolerance).sum())
            proof.earlier += len(earlier)
            proof.earlier_flagged += int((earlier > tolerance).sum())
            largest = max(float(np.abs(gain).max(initial=0.0)), float(earlier.max(initial=0.0)))
            proof.largest_difference_bits = max(proof.largest_difference_bits, largest)
        proof.passes += 1
        proof._gains += gains
        noise = upper_limit(proof.controls_flagged, 1e-4) / max(1, proof.controls)
        for name, flagged, count in (
            ("right before replaced text", proof.places_flagged, proof.places),
            ("before replaced text", proof.earlier_flagged, proof.earlier),
        ):
            if lower_limit(flagged, 1e-4) > noise * count:
                raise Rejected(
                    "not_causal", f"{flagged} of {count} tokens {name} cost another number of bits once what follows them was replaced"
                )

    def _bound(self) -> float:
        proof = self.proof
        gains = np.concatenate(proof._gains) if proof._gains else np.zeros(0)
        small = gains[np.abs(gains) <= proof.tolerance_bits].astype(np.float64)
        proof.mean_gain_bits = float(small.mean()) if len(small) else 0.0
        error = 2.33 * float(small.std(ddof=1)) / math.sqrt(len(small)) if len(small) > 1 else 0.0
        share = min(1.0, upper_limit(proof.places_flagged, CONFIDENCE_MISS) / max(1, proof.places))
        rare = 0.0 if proof.method == "dependence" and proof.places_flagged == 0 else share * math.log2(self.vocabulary)
        proof.leak_bound = (rare + max(0.0, proof.mean_gain_bits + error)) / self.bytes_per_token
        return proof.leak_bound

    def _other_text(self, count: int, avoid: int) -> np.ndarray:
        """`count` tokens of the split from a random place, the first of them not `avoid`."""
        flat = self.windows.inputs.reshape(-1)
        for _ in range(64):
            start = int(self.random.integers(0, max(1, len(flat) - count)))
            if count == 0 or flat[start] != avoid:
                break
        text = flat[start : start + count].copy()
        if count and text[0] == avoid:
            text[0] = (avoid + 1) % self.vocabulary
        return text


def tolerance_bits(dtypes: set[torch.dtype]) -> tuple[str, float]:
    """(coarsest float type, tolerance in bits per token), derived above."""
    coarsest = max((dtype for dtype in dtypes if dtype in UNIT_ROUNDOFF), key=lambda dtype: UNIT_ROUNDOFF[dtype], default=torch.float32)
    return str(coarsest).removeprefix("torch."), max(1e-3, 128 * UNIT_ROUNDOFF[coarsest])


def _cost(logits: Tensor, targets: Tensor) -> np.ndarray:
    values = logits.float()
    if not bool(torch.isfinite(values).all()):
        raise Rejected("not_finite", "the graph gives logits that are not finite")
    normaliser = torch.logsumexp(values, dim=-1)
    cost = (normaliser - values.gather(-1, targets[..., None])[..., 0]) / LN2
    return cost.cpu().numpy()
