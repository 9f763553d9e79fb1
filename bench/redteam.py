"""`make redteam`: every asset of tests/redteam in real containers, with real checks and the real evaluator, on a budget of seconds.

A hostile asset counts as *accepted* when it got a score that it should not have, and as *escaped* when it reports from inside that an
attempt went through (the assets say so themselves: they are ours), or when something of it is left on the host. An honest asset that got
no score is a false alarm. The table says what each tried, what had to happen and what happened; the last line is JSON. Exit 1 where
anything was accepted, escaped, a false alarm, or not what its header says.

    python bench/redteam.py [--jobs N] [--only NAME]…
"""

import argparse
import ast
import json
import os
import shutil
import statistics
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from appliance import hardware, tasks
from appliance.records import Device, Preset, Profile
from appliance.sandbox import docker
from appliance.workflows.corpora import corpus
from appliance.workflows.execution import Corpus, RunOutcome, RunRequest, SandboxExecution
from appliance.workflows.place import open_place
from appliance.workflows.progress import Silent

CORPUS = Path(__file__).resolve().parent.parent / "tests" / "redteam"
BUDGET_S = 2.5
SEED = 11
FORGED_BITS = 0.5
"""A score this far below the honest trainer's is forged: nothing learns that much in the budget."""
LIMITS = {"memory_bytes": 2 << 30, "pids": 128, "tmp_bytes": 256 << 20, "shm_bytes": 64 << 20, "out_bytes": 64 << 20, "out_files": 64}
NIGHT = "redteam"


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One asset of the corpus."""

    name: str
    hostile: bool
    what: str
    expected: tuple[str, ...]
    body: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What became of it."""

    entry: Entry
    happened: str
    as_expected: bool
    accepted: bool
    escaped: bool
    wall_s: float
    evaluate_s: float | None
    detail: str


def read(folder: Path, *, hostile: bool) -> list[Entry]:
    """The assets of a folder; each begins with a docstring of `tries:` or `is:`, and `expect:`."""
    entries = []
    for path in sorted(folder.glob("*.py")):
        text = path.read_text(encoding="utf-8")
        head = ast.get_docstring(ast.parse(text)) or ""
        fields = dict(line.split(": ", 1) for line in head.splitlines() if ": " in line)
        first = ast.parse(text).body[0]
        body = "\n".join(text.splitlines()[first.end_lineno or 0 :])
        expected = tuple(part.strip() for part in fields["expect"].split("|"))
        entries.append(Entry(name=path.stem, hostile=hostile, what=fields.get("tries") or fields["is"], expected=expected, body=body))
    return entries


class Team:
    """Runs entries; one engine connection per thread."""

    def __init__(self, loaded: tasks.LoadedTask, preset: Preset, device: Device, profile: Profile, data: Corpus, image: str) -> None:
        self.loaded, self.preset, self.device, self.profile, self.data, self.image = loaded, preset, device, profile, data, image
        self.base = (CORPUS / "base.py").read_text(encoding="utf-8")
        self.plain = {"train.py": self.base + next(e.body for e in read(CORPUS / "honest", hostile=False) if e.name == "plain")}
        self.startup_s: float | None = None
        self.honest_score = 0.0
        self._local = threading.local()

    def calibrate(self) -> RunOutcome:
        """The honest trainer: its score and its start-up are what others are measured against."""
        outcome = self._execute(self.plain, 0)
        if outcome.status != "ok":
            raise SystemExit(
                f"the honest trainer itself failed: {outcome.status} {outcome.reason}: {outcome.detail}\n{outcome.log_tail[-1500:]}"
            )
        self.startup_s, self.honest_score = outcome.startup_s, outcome.scores[0].score
        return outcome

    def run(self, number: int, entry: Entry) -> Result:
        """One entry, from refusal to score."""
        began = time.monotonic()
        files = {"train.py": self.base + entry.body}
        refusal = tasks.refuse(self.loaded.task, self.plain, files)
        if refusal is not None and not (entry.name == "plain" and refusal.name == "unchanged"):
            return self._judge(entry, f"refused {refusal.name}", None, refusal.detail, "", time.monotonic() - began, None)
        # An honest asset may compile for longer than this budget: what its start-up costs it is the clock's affair, not the boundary's.
        outcome = self._execute(files, number, startup_s=self.startup_s if entry.hostile else None)
        happened = "ok" if outcome.status == "ok" else f"{outcome.status} {outcome.reason}"
        score = outcome.scores[0].score if outcome.scores else None
        detail = f"{score:.3f} bits/byte" if score is not None else outcome.detail or ""
        return self._judge(entry, happened, score, detail, outcome.log_tail, time.monotonic() - began, outcome.evaluate_s)

    def _judge(
        self, entry: Entry, happened: str, score: float | None, detail: str, log: str, wall_s: float, evaluate_s: float | None
    ) -> Result:
        forged = score is not None and score < self.honest_score - FORGED_BITS
        names = {"ok": ("accepted", "harmless")}.get(happened, (happened, f"{happened.split()[0]} *"))
        expected = any(name in entry.expected for name in names) and not (entry.hostile and forged)
        return Result(
            entry=entry,
            happened=happened,
            as_expected=expected,
            accepted=entry.hostile and happened == "ok" and not expected,
            escaped="ESCAPED" in log,
            wall_s=wall_s,
            evaluate_s=evaluate_s,
            detail=detail if not (expected and "ESCAPED" in log) else log[log.index("ESCAPED") :][:200],
        )

    def _execute(self, files: dict[str, str], number: int, startup_s: float | None = None) -> RunOutcome:
        if not hasattr(self._local, "execution"):
            place = docker.DockerSandbox(image=self.image, device=self.device)
            self._local.execution = SandboxExecution(
                place=place, loaded=self.loaded, preset=self.preset, device=self.device, profile=self.profile
            )
        request = RunRequest(night_id=NIGHT, run=number, seed=SEED, files=files, corpus=self.data, startup_calibrated_s=startup_s)
        return self._local.execution.run(request)  # type: ignore[no-any-return]


def leftovers(client: object) -> list[str]:
    """Containers and volumes of ours that are still there."""
    wanted = [docker.OURS, f"{docker.label_name('night')}={NIGHT}"]
    found = [container.name for container in client.containers.list(all=True, filters={"label": wanted})]  # type: ignore[attr-defined]
    return found + [volume.name for volume in client.volumes.list(filters={"label": wanted})]  # type: ignore[attr-defined]


def host() -> dict[str, float]:
    """What an attack on the host would move."""
    nobody = 0
    for path in Path("/proc").glob("[0-9]*"):
        try:
            nobody += path.stat().st_uid == docker.USER
        except OSError:
            continue
    return {
        "processes": sum(1 for _ in Path("/proc").glob("[0-9]*")),
        "processes of the sandbox's user": nobody,
        "disk free, GB": round(shutil.disk_usage("/").free / 1e9, 1),
        "load": os.getloadavg()[0],
    }


def make_team() -> tuple[Team, docker.DockerSandbox]:
    """The trainer with a tiny preset and tight limits."""
    loaded = tasks.load("trainer")
    device = next(found for found in hardware.detect() if found.kind == "cpu")
    place, _ = open_place("docker", device, Silent())
    assert isinstance(place, docker.DockerSandbox)
    task = loaded.task
    limits = msgspec.structs.replace(task.train.limits, **LIMITS)
    task = msgspec.structs.replace(
        task,
        train=msgspec.structs.replace(task.train, limits=limits),
        evaluate=msgspec.structs.replace(task.evaluate, limits=msgspec.structs.replace(task.evaluate.limits, memory_bytes=3 << 30)),
        clock=msgspec.structs.replace(task.clock, startup_cap_s=180.0),
    )
    preset = next(preset for preset in task.presets.values() if "cpu" in preset.device_kinds)
    preset = msgspec.structs.replace(
        preset, budget_s=BUDGET_S, evaluation={"val": 32_768}, params={**preset.params, "evaluation_batch": 16, "evaluation_sequence": 64}
    )
    data = corpus(loaded, preset.dataset, place, device, lambda _line: None)
    profile = Profile(device_slug=device.slug, device_kind="cpu", name=device.name, sha256="0" * 64)
    return Team(replace(loaded, task=task), preset, device, profile, data, place.image), place


def main() -> int:
    """Run them all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--only", action="append", default=[])
    options = parser.parse_args()
    entries = [*read(CORPUS / "hostile", hostile=True), *read(CORPUS / "honest", hostile=False)]
    entries = [entry for entry in entries if not options.only or entry.name in options.only]
    team, place = make_team()
    before = host()
    plain = team.calibrate()
    print(
        f"honest trainer: {team.honest_score:.3f} bits/byte, start-up {plain.startup_s:.1f} s, evaluation {plain.evaluate_s:.1f} s",
        flush=True,
    )
    results = []
    with ThreadPoolExecutor(options.jobs) as pool:
        for result in pool.map(lambda pair: team.run(*pair), enumerate(entries, 1)):
            results.append(result)
            mark = "ESCAPED" if result.escaped else "ACCEPTED" if result.accepted else "ok" if result.as_expected else "UNEXPECTED"
            kind = "hostile" if result.entry.hostile else "honest"
            print(
                f"{mark:10} {kind:7} {result.entry.name:46} {result.happened:32} {result.wall_s:5.1f} s  {result.detail[:110]}", flush=True
            )
    left = leftovers(place.client)
    after = host()
    print(f"\nhost before: {before}\nhost after:  {after}\nleft behind: {left or 'nothing'}")
    timed = [r.evaluate_s for r in results if not r.entry.hostile and r.evaluate_s is not None]
    if timed:
        print(f"evaluate sandbox of honest assets: median {statistics.median(timed):.1f} s")
    hostile = [r for r in results if r.entry.hostile]
    honest = [r for r in results if not r.entry.hostile]
    counts = {
        "attempts": len(hostile),
        "accepted": sum(r.accepted for r in hostile),
        "escaped": sum(r.escaped for r in results) + len(left),
        "honest": len(honest),
        "false_alarms": sum(not r.as_expected for r in honest),
    }
    print(json.dumps(counts))
    return int(any(counts[key] for key in ("accepted", "escaped", "false_alarms")) or not all(r.as_expected for r in results))


if __name__ == "__main__":
    sys.exit(main())
