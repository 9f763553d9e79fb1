"""`make bench-trainer`: is `train.py` as fast as the script that people would write, and does its loader keep up?

    python bench/trainer.py [--pairs 5] [--seconds 10] [--preset NAME] [--device WHICH] [--sandbox docker | --python INTERPRETER]

Three assets in real runs by the same harness, on the CPU and, where there is one, on a GPU: `train.py` as the preset makes it;
`plain_gpt.py`, the same model and optimisers (Muon for the matrices, AdamW for the rest) in eager code, with every constant the same;
`loader_rate.py`, which only draws batches of the preset's shape. The first two alternate, in pairs, each pair with the order of the other
turned around. Nothing is scored; rates are what the harness counts within the budget. `--python` names an interpreter with the image's
packages and runs everything by the process sandbox. Run it on an idle machine: a disturbed run is repeated.

Last line: JSON with `ratio` (tokens/s, ours over plain, median of the pairs), `loader_ratio` (the loader's rate over what `train.py`
consumes), `packing` (share of positions that hold text) of the CPU, and of the GPU under `cuda`. Exit 1 below 1 (1.3 on a GPU), 20, 0.99.
"""

import argparse
import contextlib
import json
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import msgspec

from appliance import hardware, judge, tasks
from appliance.errors import ApplianceError
from appliance.records import Device
from appliance.workflows.execution import RunOutcome, RunRequest, SandboxExecution
from appliance.workflows.progress import Silent
from appliance.workflows.workplace import Workplace, make_ready

HERE = Path(__file__).parent
PRESETS = {"cpu": "cpu-quick", "cuda": "cuda-small"}
"""Of each kind of device the preset that reads fastest: its reference is the smallest."""
LIMITS = {"cpu": {"ratio": 1.0, "loader_ratio": 20.0, "packing": 0.99}, "cuda": {"ratio": 1.3, "loader_ratio": 20.0, "packing": 0.99}}
ATTEMPTS = 4
_PACKING = re.compile(r"^packing (\d\.\d+)$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Rates:
    """Tokens per second, a run each."""

    ours: list[float]
    plain: list[float]
    loader: float
    packing: float
    mfu: float | None

    @property
    def ratio(self) -> float:
        """Ours over plain, median of the pairs."""
        return median(one / other for one, other in zip(self.ours, self.plain, strict=True))

    @property
    def loader_ratio(self) -> float:
        """The loader's rate over what ours consumes."""
        return self.loader / median(self.ours)


class Bench:
    """One device and its preset."""

    def __init__(self, place: Workplace, execution: SandboxExecution) -> None:
        self._place, self._execution, self._runs = place, execution, 0
        self._reference = place.loaded.reference(place.preset)

    def rates(self, pairs: int) -> Rates:
        """All runs.

        Raises:
            ApplianceError: one failed, or the two models are not the same.
        """
        plain_files = configured("plain_gpt.py", self._reference)
        drawn = self._run(configured("loader_rate.py", self._reference), "loader_rate.py")
        ours, plain = list[RunOutcome](), list[RunOutcome]()
        for n in range(pairs):
            for first in (True, False) if n % 2 == 0 else (False, True):
                (ours if first else plain).append(
                    self._run(self._reference if first else plain_files, "train.py" if first else "plain_gpt.py")
                )
            print(f"pair {n + 1}: train.py {_rate(ours[-1]):,.0f} tokens/s, plain {_rate(plain[-1]):,.0f}", flush=True)
        if ours[0].observables["params"] != plain[0].observables["params"]:
            raise ApplianceError(
                f"the two models differ: {ours[0].observables['params']:.0f} and {plain[0].observables['params']:.0f} parameters"
            )
        return Rates(
            ours=[_rate(outcome) for outcome in ours],
            plain=[_rate(outcome) for outcome in plain],
            loader=_rate(drawn),
            packing=packing_of(drawn.log_tail),
            mfu=median(outcome.observables["mfu"] for outcome in ours) if "mfu" in ours[0].observables else None,
        )

    def _run(self, files: Mapping[str, str], what: str) -> RunOutcome:
        """One run that is ok; again while the machine is disturbed."""
        for _ in range(ATTEMPTS):
            self._runs += 1
            outcome = self._execution.run(
                RunRequest(
                    night_id="bench-trainer",
                    run=self._runs,
                    seed=self._runs,
                    files=files,
                    corpus=self._place.first,
                    splits=(),
                    normal=lambda telemetry, _observables: judge.disturbance(telemetry, None, None),
                )
            )
            if outcome.status == "ok":
                return outcome
            if outcome.status != "invalid":
                raise ApplianceError(f"{what} {outcome.status}: {outcome.reason}: {outcome.detail or outcome.log_tail.strip()[-300:]}")
        raise ApplianceError(f"the machine is too busy to measure on ({outcome.reason}): end what else runs on it")


def configured(name: str, reference: Mapping[str, str]) -> dict[str, str]:
    """An asset of the bench in the place of the task's, with the reference's constants."""
    asset, constants = {next(iter(reference)): (HERE / name).read_text(encoding="utf-8")}, tasks.read_constants(reference)
    return tasks.replace_constants(asset, {key: constants[key] for key in tasks.read_constants(asset) if key in constants})


def packing_of(log: str) -> float:
    """What `loader_rate.py` said.

    Raises:
        ApplianceError: nothing.
    """
    found = _PACKING.search(log)
    if found is None:
        raise ApplianceError(f"loader_rate.py did not say what it counted: {log.strip()[-300:]}")
    return float(found[1])


def _rate(outcome: RunOutcome) -> float:
    return outcome.observables["tokens_per_s"]


def measure(device: Device, chosen: argparse.Namespace) -> Rates:
    """On one device."""
    place = make_ready(
        task="trainer",
        device=device.uuid or device.slug,
        preset=chosen.preset or PRESETS[device.kind],
        kind="process" if chosen.python else chosen.sandbox,
        hours=None,
        progress=Silent(),
    )
    preset = msgspec.structs.replace(place.preset, budget_s=chosen.seconds)
    print(f"{device.name}, {place.preset_name}", flush=True)
    execution = SandboxExecution(place=place.place, loaded=place.loaded, preset=preset, device=place.device, profile=place.profile)
    with contextlib.closing(execution):
        return Bench(place, execution).rates(chosen.pairs)


def summary(rates: Rates) -> dict[str, Any]:
    """What the last line says of a device."""
    return {
        "ratio": round(rates.ratio, 3),
        "loader_ratio": round(rates.loader_ratio, 1),
        "packing": round(rates.packing, 5),
        "tokens_per_s": round(median(rates.ours)),
        "plain_tokens_per_s": round(median(rates.plain)),
        "loader_tokens_per_s": round(rates.loader),
        "mfu": None if rates.mfu is None else round(rates.mfu, 4),
        "pairs": len(rates.ours),
    }


def below(kind: str, found: Mapping[str, Any]) -> list[str]:
    """Figures under their limit."""
    return [name for name, limit in LIMITS[kind].items() if not found[name] >= limit]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10.0, help="budget of a run")
    parser.add_argument("--preset", default=None, help=f"default: {PRESETS['cpu']}, on a GPU {PRESETS['cuda']}")
    parser.add_argument("--device", default=None, help="this one alone")
    parser.add_argument("--sandbox", choices=("docker", "process"), default="docker")
    parser.add_argument("--python", type=Path, default=None, help="interpreter with the image's packages; no sandbox then")
    chosen = parser.parse_args()
    if chosen.python:
        os.environ["APPLIANCE_PYTHON"] = str(chosen.python.absolute())
    try:
        known = hardware.detect()
        devices = {d.kind: d for d in ([hardware.choose(known, chosen.device)] if chosen.device else reversed(known))}
        found = {kind: summary(measure(device, chosen)) for kind, device in sorted(devices.items())}
    except ApplianceError as error:
        print(f"bench-trainer: {error}", file=sys.stderr)
        return error.exit_code
    for kind, figures in found.items():
        for name, limit in LIMITS[kind].items():
            print(f"{kind:<6}{name:<14}{figures[name]:>10g}{limit:>8g}")
    first = found.pop("cpu", None) or {}
    print(json.dumps({**first, **found}))
    return int(any(below(kind, figures) for kind, figures in {"cpu": first, **found}.items() if figures))


if __name__ == "__main__":
    sys.exit(main())
