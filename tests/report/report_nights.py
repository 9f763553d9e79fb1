"""Synthetic nights for the tests and the benchmark of pages: a small seeded simulation. No number in it is a result."""

import difflib
import hashlib
import math
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from appliance.records import (
    ArtifactFile,
    Asset,
    AttentionResult,
    Command,
    Confirmation,
    ConstantRange,
    DatasetSource,
    Datasheet,
    Device,
    Estimate,
    Experiment,
    MatrixRate,
    Measurement,
    Metric,
    Night,
    NightPlan,
    NightState,
    Observable,
    Preset,
    Profile,
    Reason,
    Run,
    Score,
    Sourced,
    Task,
    Telemetry,
    Verdict,
)

START = datetime(2026, 3, 12, 21, 4, tzinfo=UTC)
SHA = "0123456789abcdef" * 4

REFERENCE: dict[str, Any] = {
    "DEPTH": 8,
    "WIDTH": 512,
    "HEAD_DIM": 64,
    "BATCH_TOKENS": 524288,
    "SEQUENCE_LENGTH": 2048,
    "VOCAB_SIZE": 8192,
    "WINDOW_PATTERN": "SSSL",
    "MATRIX_LR": 0.02,
    "EMBED_LR": 0.3,
    "HEAD_LR": 0.004,
    "WEIGHT_DECAY": 0.1,
    "WARMDOWN_SHARE": 0.4,
    "VALUE_EMBEDDINGS": True,
    "LOGIT_CAP": 15.0,
}

IDEAS: list[tuple[str, dict[str, Any]]] = [
    ("Halve the batch: more optimiser steps in the same five minutes", {"BATCH_TOKENS": 262144}),
    ("Batch of 2^16 tokens: steps matter more than gradient quality at this rate", {"BATCH_TOKENS": 65536}),
    ("Depth 4: every step becomes cheaper and the budget is step-limited", {"DEPTH": 4}),
    ("Shorter training sequences, attention is not where the gain is", {"SEQUENCE_LENGTH": 1024}),
    ("Full windows: on this device masked windows leave the fast backend", {"WINDOW_PATTERN": "L"}),
    ("Width 384 with the same depth", {"WIDTH": 384}),
    ("Raise the matrix learning rate for the smaller batch", {"MATRIX_LR": 0.03}),
    ("Longer warm-down: the last part of the schedule gives the most", {"WARMDOWN_SHARE": 0.6}),
    ("Smaller vocabulary, the output layer dominates at this width", {"VOCAB_SIZE": 2048}),
    ("Weight decay 0.05", {"WEIGHT_DECAY": 0.05}),
    ("Embedding learning rate 0.45", {"EMBED_LR": 0.45}),
    ("Batch of 2^14 tokens", {"BATCH_TOKENS": 16384}),
    ("No value embeddings: fewer bytes to move per token", {"VALUE_EMBEDDINGS": False}),
    ("Head learning rate 0.006", {"HEAD_LR": 0.006}),
    ("Cap logits at 30 so that confident tokens are not held back", {"LOGIT_CAP": 30.0}),
]


def asset_text(constants: dict[str, Any], extra: str = "") -> str:
    """A file with constants at the top and a little program under them."""
    units = {"DEPTH": "layers", "WIDTH": "channels", "BATCH_TOKENS": "tokens per optimiser step"}
    lines = [f"{name} = {value!r}" + (f"  # {units[name]}" if name in units else "") for name, value in constants.items()]
    return (
        '"""A small model, trained until the clock says stop."""\n\n'
        + "\n".join(lines)
        + f"\n\n\ndef main() -> None:\n    train(){extra}\n"
    )


def sha_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def task(**changes: Any) -> Task:
    """A task like the trainer's."""
    sized = {"DEPTH", "WIDTH", "BATCH_TOKENS", "SEQUENCE_LENGTH", "VOCAB_SIZE"}
    units = {"DEPTH": "layers", "WIDTH": "channels", "BATCH_TOKENS": "tokens per step", "SEQUENCE_LENGTH": "tokens", "VOCAB_SIZE": "tokens"}
    made = Task(
        name="trainer",
        version="1",
        description="Train a small model in a fixed time.",
        asset=Asset(files=["train.py"], program="program.md"),
        metric=Metric(name="bits_per_byte", unit="bits/byte", direction="lower", version="1", smallest_effect=0.005),
        artifact=[ArtifactFile(name="weights.safetensors", at="end", max_bytes=10**9)],
        train=Command(command=["python"]),
        evaluate=Command(command=["python"]),
        constants={name: ConstantRange(type="float", low=0, high=1, unit=units.get(name, ""), size=name in sized) for name in REFERENCE},
        observables={
            "steps": Observable(unit="steps", role="progress", label="Optimiser steps"),
            "tokens_per_s": Observable(unit="tokens/s", role="throughput", label="Throughput", better="higher"),
            "mfu": Observable(unit="share", role="efficiency", label="Model FLOPs utilisation", better="higher"),
            "params": Observable(unit="parameters", role="size", label="Parameters"),
            "peak_memory_bytes": Observable(unit="bytes", role="memory", label="Peak memory", better="lower"),
        },
        datasets={"prose": DatasetSource(source="folder", path="prose", license="public domain", description="prose")},
        presets={"h100": Preset(device_kinds=["cuda"], description="reference", dataset="prose", budget_s=300.0, constants=REFERENCE)},
    )
    return msgspec.structs.replace(made, **changes)


def gb10() -> Device:
    return Device(
        kind="cuda",
        index=0,
        name="NVIDIA GB10",
        slug="nvidia-gb10",
        uuid="GPU-5b1c2d3e-0000-1111-2222-333344445555",
        compute_capability="12.1",
        sm_count=48,
        memory_total_bytes=128 * 10**9,
        memory_usable_bytes=119 * 10**9,
        memory_unified=True,
        driver="580.95.05",
        cuda="13.0",
        processes=[4242],
    )


def profile(device: Device, peak: float = 92.3e12, bandwidth: float = 218e9) -> Profile:
    """A measured profile with a datasheet beside it."""
    return Profile(
        device_slug=device.slug,
        device_kind=device.kind,
        name=device.name,
        sha256=SHA,
        datasheet=Datasheet(
            vendor="nvidia",
            name=device.name,
            values={
                "bf16_flops": Sourced(value=125e12, unit="FLOP/s", source="derived", note="derived"),
                "bandwidth_bytes_per_s": Sourced(value=273e9, unit="bytes/s", source="vendor"),
            },
        ),
        measurement=Measurement(
            benchmark_version="1",
            measured_at="2026-03-12T20:31:00Z",
            mode="full",
            device={"name": device.name},
            environment={"torch": "2.13.0"},
            matrix=[
                MatrixRate(dtype="bfloat16", flops=peak, shape=(8192, 8192, 8192), sustained_flops=peak * 0.94),
                MatrixRate(dtype="float32", flops=peak * 0.22, shape=(4096, 4096, 4096)),
            ],
            attention=[
                AttentionResult(backend="sdpa_flash", head_dim=64, accepted=True, forward_s=2.7e-3, backward_s=6.9e-3),
                AttentionResult(backend="sdpa_math", head_dim=64, accepted=True, forward_s=6.1e-3, backward_s=14.2e-3),
                AttentionResult(backend="flash_attention_3", head_dim=64, accepted=False, reason="no kernel image for sm_121"),
            ],
            launch_overhead_s=6.4e-6,
            container_startup_s=0.31,
        ),
        peak_flops=peak,
        peak_source="measured bfloat16",
        bandwidth_bytes_per_s=bandwidth,
        usable_memory_bytes=119 * 10**9,
        attention_backend="sdpa_flash",
        notes=["The vendor publishes no dense BF16 rate for this board."],
    )


def _quality(constants: dict[str, Any]) -> float:
    """A smooth made-up landscape with its best point at a small, shallow configuration."""
    cost = constants["DEPTH"] * constants["WIDTH"] ** 2
    steps = 93 * (8 * 512**2 / cost) ** 0.7 * (524288 / constants["BATCH_TOKENS"]) ** 0.8
    value = 1.20 + 2.1 / steps**0.45 + 0.02 * abs(math.log2(cost / (4 * 448**2)))
    value += 0.4 * abs(math.log(constants["MATRIX_LR"] / 0.032)) * 0.03 + 0.02 * abs(constants["WARMDOWN_SHARE"] - 0.65)
    value += 0.006 * (constants["WINDOW_PATTERN"] != "L") + 0.004 * abs(math.log2(constants["VOCAB_SIZE"] / 2048))
    return value * 1.05


def _observed(constants: dict[str, Any], rng: random.Random) -> dict[str, float]:
    cost = constants["DEPTH"] * constants["WIDTH"] ** 2
    steps = 93 * (8 * 512**2 / cost) ** 0.7 * (524288 / constants["BATCH_TOKENS"]) ** 0.8 * rng.uniform(0.995, 1.005)
    return {
        "steps": float(round(steps)),
        "tokens_per_s": steps * constants["BATCH_TOKENS"] / 300,
        "params": 12.0 * cost + 2 * constants["VOCAB_SIZE"] * 512,
        "mfu": 0.31 * (cost / (8 * 512**2)) ** 0.35 * (constants["BATCH_TOKENS"] / 524288) ** 0.15,
        "peak_memory_bytes": 2.1e9 + 93e9 * (constants["BATCH_TOKENS"] / 524288) ** 0.75 * (constants["DEPTH"] / 8),
    }


class Builder:
    """Plays a night."""

    def __init__(
        self,
        *,
        experiments: int = 60,
        seed: int = 1,
        device: Device | None = None,
        confirm: str = "confirmed",
        night_task: Task | None = None,
    ) -> None:
        self.rng = random.Random(seed)
        self.device = device or gb10()
        self.task = night_task or task()
        self.now = START + timedelta(days=seed % 300)
        self.night_id = f"{self.now:%Y%m%d-%H%M%S}-{self.device.slug}-{seed:04x}"
        self.sd = 0.0024
        self.runs: list[Run] = []
        self.experiments: list[Experiment] = []
        self.assets: dict[str, dict[str, str]] = {}
        self.incumbent, self.constants = 0, dict(REFERENCE)
        self.text = asset_text(self.constants)
        self.baseline = self.text
        self.confirm = confirm
        for _ in range(4):
            self._run(0, "calibration", REFERENCE, sha_of(self.baseline))
        for number in range(1, experiments + 1):
            self._experiment(number)
            if number % 18 == 0:
                self._run(0, "rebaseline", REFERENCE, sha_of(self.baseline))

    def _run(self, experiment: int, kind: str, constants: dict[str, Any], sha: str, **changes: Any) -> Run:
        value = _quality(constants) + self.rng.gauss(0, self.sd)
        observed = _observed(constants, self.rng)
        curve = [
            (300 * i / 60, float(round(observed["steps"] * i / 60)), value + 6.2 * math.exp(-i / 7) + self.rng.gauss(0, 0.01))
            for i in range(1, 61)
        ]
        wall = 300 + self.rng.uniform(14, 19)
        values: dict[str, Any] = {
            "night_id": self.night_id,
            "experiment": experiment,
            "run": len(self.runs) + 1,
            "kind": kind,
            "status": "ok",
            "metric": self.task.metric.name,
            "score": value,
            "scores": [Score(split="val", score=value, score_legacy=value - 0.003, bytes=1_000_000)],
            "seed": 1000 + len(self.runs),
            "asset_sha256": sha,
            "image_digest": "sha256:" + SHA,
            "task_sha256": SHA,
            "isolation": "docker",
            "device": self.device.name,
            "torch": "2.13.0",
            "started_at": self.now.isoformat().replace("+00:00", "Z"),
            "create_s": 0.3,
            "startup_s": 6.0,
            "budget_s": 300.0,
            "finish_s": 0.6,
            "evaluate_s": 7.5,
            "wall_s": wall,
            "observables": observed,
            "curve": curve,
            "telemetry": Telemetry(
                samples=150,
                power_w_mean=88.0,
                energy_j=88.0 * wall,
                temperature_c_max=71,
                peak_memory_bytes=int(observed["peak_memory_bytes"]),
            ),
            "log_tail": "".join(
                f"step {int(observed['steps'] * i / 6)} loss {value + 3 / i:.4f} tokens/s {observed['tokens_per_s']:.0f}\n"
                for i in range(2, 7)
            ),
        }
        if "status" not in changes:
            short = {"create": 0.3, "import": 1.1, "startup": 6.0, "mark": 0.2, "finish": 0.6, "collect": 0.4, "check": 0.1}
            values["phases"] = {**short, "budget": 300.0, "evaluate": wall - 300.0 - sum(short.values())}
        values.update(changes)
        run = Run(**values)
        self.now += timedelta(seconds=wall + self.rng.uniform(3, 25))
        self.runs.append(run)
        return run

    def _experiment(self, number: int) -> None:
        rng = self.rng
        hypothesis, change = IDEAS[(number - 1) % len(IDEAS)] if number <= len(IDEAS) else self._variation()
        constants = {**self.constants, **change}
        text = asset_text(constants)
        sha = sha_of(text)
        diff = "\n".join(difflib.unified_diff(self.text.splitlines(), text.splitlines(), "a/train.py", "b/train.py", lineterm=""))
        values: dict[str, Any] = {
            "night_id": self.night_id,
            "experiment": number,
            "parent": self.incumbent,
            "agent": "search",
            "hypothesis": hypothesis,
            "diff": diff,
            "predicted_effect": round(rng.gauss(-0.006, 0.01), 4),
            "asset_sha256": sha,
            "noise_sd": self.sd,
            "noise_n": 3 + number,
        }
        dice = rng.random()
        if dice < 0.04:
            run = self._run(
                number,
                "screen",
                constants,
                sha,
                status="failed",
                score=None,
                scores=[],
                reason=Reason.OUT_OF_MEMORY,
                detail="CUDA out of memory. Tried to allocate 18.00 GiB",
                curve=[],
                wall_s=21.0,
                log_tail='Traceback (most recent call last):\n  File "train.py", line 301\ntorch.OutOfMemoryError: CUDA out of memory.',
            )
            self._decide(values, Verdict.FAILED, [run.run], reason="out_of_memory")
            return
        if dice < 0.055:
            run = self._run(
                number,
                "screen",
                constants,
                sha,
                status="rejected",
                score=None,
                scores=[],
                reason=Reason.NOT_CAUSAL,
                detail="outputs before the cut changed in 7 of 64 rows",
                suspicious=["throughput_too_high"],
            )
            self._decide(values, Verdict.REJECTED, [run.run], reason="not_causal")
            return
        invalid = []
        if dice < 0.10:
            score = _quality(constants) + abs(rng.gauss(0.03, 0.02))
            invalid = [self._run(number, "screen", constants, sha, status="invalid", score=score, reason=Reason.DISTURBED_CONTENTION).run]
        true = _quality(constants) - _quality(self.constants)
        screen = self._run(number, "screen", constants, sha)
        level = _quality(self.constants)
        if screen.score is None or screen.score > level - self.sd:
            half = 2.1 * self.sd * 1.4
            difference = (screen.score or level) - level
            verdict = Verdict.WORSE if difference > half else Verdict.WITHIN_NOISE
            self._decide(
                values,
                verdict,
                [screen.run],
                difference=difference,
                interval_low=difference - half,
                interval_high=difference + half,
                p=0.4,
                runs_invalid=invalid,
            )
            return
        fresh = [self._run(number, "replicate", constants, sha) for _ in range(3)]
        pair = [self._run(self.incumbent, "replicate", self.constants, sha_of(self.text), for_experiment=number) for _ in range(2)]
        difference = sum(r.score or 0 for r in fresh) / 3 - level
        half = 2.3 * self.sd * 0.9
        kept = difference + half < 0 and true < 0
        if kept:
            self.incumbent, self.constants, self.text = number, constants, text
            self.assets[sha] = {"train.py": text}
        self._decide(
            values,
            Verdict.KEPT if kept else Verdict.WITHIN_NOISE,
            [*(r.run for r in fresh), *(r.run for r in pair)],
            difference=difference,
            interval_low=difference - half,
            interval_high=difference + half,
            p=0.0007 if kept else 0.21,
            runs_invalid=invalid,
        )

    def _variation(self) -> tuple[str, dict[str, Any]]:
        name = self.rng.choice(["MATRIX_LR", "EMBED_LR", "HEAD_LR", "WEIGHT_DECAY", "WARMDOWN_SHARE", "DEPTH", "WIDTH", "BATCH_TOKENS"])
        old = self.constants[name]
        factor = self.rng.choice([0.5, 0.7, 1.3, 2.0])
        new: Any = max(1, round(old * factor)) if isinstance(old, int) else round(old * factor, 5)
        if name == "BATCH_TOKENS":
            new = max(8192, 2 ** round(math.log2(new)))
        return f"{name} from {old} to {new}: probe the neighbourhood of the incumbent", {name: new}

    def _decide(self, values: dict[str, Any], verdict: Verdict, runs: list[int], **more: Any) -> None:
        self.experiments.append(
            Experiment(**values, verdict=verdict, runs=runs, incumbent=self.incumbent, decided_at=self.now.isoformat(), **more)
        )

    def _confirmation(self) -> Confirmation | None:
        if self.confirm == "none":
            return None
        if not self.incumbent:
            return Confirmation(status="no_winner")
        base, won = _quality(REFERENCE), _quality(self.constants)
        claimed = (won - base) / base
        if self.confirm == "not_run":
            return Confirmation(status="not_run", reason="seven pairs did not fit into what was left of the night", claimed=claimed)
        for _ in range(4):
            for number, constants, text in ((0, REFERENCE, self.baseline), (self.incumbent, self.constants, self.text)):
                value = _quality(constants) + self.rng.gauss(0, self.sd)
                self._run(
                    number,
                    "confirm",
                    constants,
                    sha_of(text),
                    score=value * 1.01,
                    scores=[
                        Score(split="val", score=value),
                        Score(split="test", score=value * 1.01),
                        Score(split="transfer", score=value * 1.4),
                    ],
                )
        survives = self.confirm == "confirmed"

        def estimate(split: str, shrink: float, reach: float, pairs: int, level: float) -> Estimate:
            relative = claimed * shrink
            return Estimate(
                split=split,
                baseline_mean=base * level,
                winner_mean=base * level * (1 + relative),
                difference=base * level * relative,
                interval_low=base * level * (relative - reach),
                interval_high=base * level * (relative + reach),
                relative=relative,
                relative_low=relative - reach,
                relative_high=relative + reach,
                pairs=pairs,
                method="95 %: Student over seed pairs and bootstrap over documents",
                holds=relative + reach < 0,
            )

        shrink = 0.96 if survives else 0.02
        estimates = [
            estimate("val", shrink + 0.02, 0.006, 4, 1),
            estimate("test", shrink, 0.013, 4, 1.01),
            estimate("transfer_model", shrink * 0.7, 0.021, 4, 1.4),
            estimate("transfer_configuration", shrink * 0.8, 0.03, 3, 1.3),
        ]
        return Confirmation(status="confirmed" if survives else "not_confirmed", estimates=estimates, claimed=claimed, shrinkage=1 - shrink)

    def night(self, **changes: Any) -> Night:
        """The night as the ledger would hand it over."""
        confirmation = self._confirmation()
        hours = (self.now - (START + timedelta(days=0))).total_seconds() / 3600
        baseline_sha = sha_of(self.baseline)
        self.assets[baseline_sha] = {"train.py": self.baseline}
        started = min((r.started_at for r in self.runs), default=self.now.isoformat())
        plan = NightPlan(
            night_id=self.night_id,
            started_at=started,
            hours=max(0.1, min(hours, 24)),
            device=self.device,
            profile=profile(self.device),
            task=self.task,
            task_sha256=SHA,
            preset_name="h100",
            preset=self.task.presets["h100"],
            isolation="docker",
            image_digest="sha256:" + SHA,
            data_sha256=SHA,
            agent="search",
            seed=7,
            baseline_sha256=baseline_sha,
            reference_sha256=baseline_sha,
            versions={"appliance": "0.1.0", "python": "3.11.2"},
            command=["appliance", "overnight", "--hours", "9", "--task", "trainer", "--agent", "search"],
            test_split_uses=2,
        )
        winners = [e for e in self.experiments if e.verdict == Verdict.KEPT]
        state = NightState(
            phase="ended",
            ended_at=self.now.isoformat(),
            ended_why="the clock was spent",
            incumbent=self.incumbent,
            incumbent_sha256=sha_of(self.text),
            confirmation=confirmation,
            expected_false_keeps=0.002 * len(self.experiments),
            clock={"calibrate": 1290.0, "search": 27000.0, "confirm": 2600.0},
            attribution=[
                {
                    "change": e.hypothesis,
                    "experiment": e.experiment,
                    "runs": 3,
                    "loss": loss,
                    "interval_low": loss - 0.004,
                    "interval_high": loss + 0.004,
                    "share": loss / 0.3,
                    "carries": loss > 0.004,
                    "reading": "carries gain" if loss > 0.004 else "came along" if loss < 0.001 else "not settled",
                    "note": None,
                }
                for e, loss in zip(winners, (0.11, 0.09, 0.031, 0.002, 0.012, 0.0005, 0.003, 0.002), strict=False)
            ],
        )
        night = Night(plan=plan, state=state, runs=self.runs, experiments=self.experiments, assets=self.assets)
        return msgspec.structs.replace(night, **changes)


def a_night(experiments: int = 60, **options: Any) -> Night:
    """A realistic night."""
    return Builder(experiments=experiments, **options).night()


def days_later(night: Night, days: int = 3) -> Night:
    """The same night after another confirmation (two pairs) and an attribution (the winner whole, and without its last change)."""
    winner = night.state.incumbent
    confirm = next(r for r in night.runs if r.kind == "confirm" and r.experiment == winner)
    fresh = next(r for r in night.runs if r.kind == "replicate" and r.experiment == winner)
    began = datetime.fromisoformat(night.state.ended_at or "") + timedelta(days=days)
    runs = [
        *(msgspec.structs.replace(confirm, experiment=e) for e in (0, winner, winner, 0)),
        *(msgspec.structs.replace(fresh, kind="attribute", for_experiment=None, asset_sha256=sha) for sha in (fresh.asset_sha256, SHA)),
    ]
    return msgspec.structs.replace(
        night,
        runs=[
            *night.runs,
            *(
                msgspec.structs.replace(r, run=len(night.runs) + n, started_at=(began + timedelta(minutes=6 * n)).isoformat())
                for n, r in enumerate(runs, 1)
            ),
        ],
    )


def with_state(night: Night, **changes: Any) -> Night:
    return msgspec.structs.replace(night, state=msgspec.structs.replace(night.state, **changes))


def with_plan(night: Night, **changes: Any) -> Night:
    return msgspec.structs.replace(night, plan=msgspec.structs.replace(night.plan, **changes))
