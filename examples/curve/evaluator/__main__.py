"""Scores an answer: mean squared error at the points of one split. Our code only; the answer is data. Standard library only."""

import json
import math
import os
import sys
import time
from pathlib import Path


def score() -> dict:
    """The evaluator's verdict as docs/protocol.md states it."""
    points = json.loads((Path(os.environ["APPLIANCE_DATA"]) / "points.json").read_text())
    artifact = Path(os.environ["APPLIANCE_ARTIFACT"])
    places = json.loads((artifact / "shape.json").read_text())["places"]
    answer = json.loads((artifact / "answer.json").read_text())
    if not isinstance(answer, list) or len(answer) != places or places != 241:
        return {"valid": False, "reason": "wrong_shape", "scores": []}
    if not all(isinstance(v, int | float) and math.isfinite(v) for v in answer):
        return {"valid": False, "reason": "not_finite", "scores": []}
    errors = [(answer[round(x * (places - 1))] - y) ** 2 for x, y in points]
    documents = [[sum(errors[i : i + 10]), len(errors[i : i + 10])] for i in range(0, len(errors), 10)]
    one = {"score": sum(errors) / len(errors), "bytes": len(errors)}
    if json.loads(os.environ["APPLIANCE_PARAMS"]).get("per_document"):
        one["documents"] = documents
    return {"valid": True, "reason": None, "scores": [one], "proof": {}}


def say(word: str) -> None:
    """One word to the host."""
    sys.stdout.write(f"\n::appliance {os.environ['APPLIANCE_NONCE']} {word}\n")
    sys.stdout.flush()


say("ready")
while not (Path(os.environ["APPLIANCE_CONTROL"]) / "release").exists():  # started ahead: the artifact comes with its release
    time.sleep(0.005)
(Path(os.environ["APPLIANCE_OUT"]) / "score.json").write_text(json.dumps(score()))
say("done")
