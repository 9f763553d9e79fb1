"""Runs the asset: the fixed half of the task. Speaks the protocol of docs/protocol.md; standard library only."""

import importlib.util
import json
import os
import sys
import time
from pathlib import Path

PLACES = 241
CONTROL, OUT = Path(os.environ["APPLIANCE_CONTROL"]), Path(os.environ["APPLIANCE_OUT"])


def say(word: str) -> None:
    """One word to the host."""
    sys.stdout.write(f"\n::appliance {os.environ['APPLIANCE_NONCE']} {word}\n")
    sys.stdout.flush()


def wait_for(name: str) -> str:
    """What the host says under this name."""
    while not (CONTROL / name).exists():
        time.sleep(0.005)
    return (CONTROL / name).read_text()


class Clock:
    """Ends with the budget the host granted."""

    def __init__(self, budget_s: float) -> None:
        self.began, self.budget_s = time.monotonic(), budget_s

    def over(self) -> bool:
        """Whether the budget is spent."""
        return time.monotonic() - self.began >= self.budget_s


def main() -> None:
    """One run."""
    say("ready")
    wait_for("release")
    spec = importlib.util.spec_from_file_location("fit", Path(os.environ["APPLIANCE_ASSET"]) / "fit.py")
    fit = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fit)
    points = json.loads((Path(os.environ["APPLIANCE_DATA"]) / "points.json").read_text())
    (OUT / "shape.json").write_text(json.dumps({"places": PLACES}))
    say("mark")
    clock = Clock(json.loads(wait_for("grant"))["budget_s"])
    weights, sweeps = fit.fit([tuple(p) for p in points], clock)
    seconds = time.monotonic() - clock.began
    (OUT / "answer.json").write_text(json.dumps(fit.answer(weights, PLACES)))
    claims = {"observables": {"sweeps": sweeps, "sweeps_per_s": sweeps / seconds}, "curve": []}
    (OUT / "claims.json").write_text(json.dumps(claims))
    say("done")


main()
