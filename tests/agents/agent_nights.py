"""A night without a machine: decides experiments as told and gives agents the views that a real one would."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from appliance import tasks
from appliance.records import Device, Experiment, Profile, Proposal, Run, Verdict, View

TOY = Path(__file__).parents[2] / "bench" / "toy_task"
ASSET = '''"""Three numbers; the simulated trainer reads them."""

WIDTH = 32  # channels
DEPTH = 12  # layers
RATE = 0.5  # per step


def size():
    return WIDTH * DEPTH


def double():
    return 2 * size()
'''


@dataclass
class Night:
    """The state of a night; `decide` moves it on."""

    loaded: tasks.LoadedTask = field(default_factory=lambda: tasks.load(str(TOY)))
    preset_name: str = "cpu"
    start: str | None = ASSET
    """Text of the asset's only file; None: the task's reference."""
    seconds_left: float = 3600.0
    seconds_per_run: float = 10.0
    experiments: list[Experiment] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    incumbent: int = 0

    def __post_init__(self) -> None:
        name = self.loaded.task.asset.files[0]
        self.assets = {0: {name: self.start} if self.start else self.loaded.reference(self.loaded.task.presets[self.preset_name])}
        self.configurations = {0: tasks.read_constants(self.assets[0])}
        self.tried = {tasks.fingerprint(self.assets[0])}
        self.profile = Profile(
            device_slug="test",
            device_kind="cpu",
            name="test",
            sha256="0" * 64,
            peak_flops=2.9e11,
            peak_source="measured, bfloat16",
            bandwidth_bytes_per_s=1.8e10,
            usable_memory_bytes=20 << 30,
        )
        for score in (3.001, 2.999, 3.0):
            self._run(0, "calibration", score)

    def view(self) -> View:
        """What an agent sees now."""
        asset, tried = self.assets[self.incumbent], frozenset(self.tried)

        def refuse(files: Mapping[str, str]) -> str | None:
            refusal = tasks.refuse(self.loaded.task, asset, files, tried)
            return f"{refusal.name}: {refusal.detail}" if refusal else None

        return View(
            task=self.loaded.task,
            preset=self.loaded.task.presets[self.preset_name],
            device=Device(kind="cpu", index=0, name="Test CPU", slug="test-cpu", cores=2),
            profile=self.profile,
            program=self.loaded.program(),
            asset=asset,
            asset_sha256=f"{self.incumbent:064x}",
            constants=tasks.read_constants(asset),
            incumbent=self.incumbent,
            incumbent_score=3.0,
            baseline_score=3.0,
            noise_sd=0.0025,
            noise_n=9,
            experiments=list(self.experiments),
            runs=list(self.runs),
            configurations=dict(self.configurations),
            seconds_left=self.seconds_left,
            seconds_per_run=self.seconds_per_run,
            seed=1,
            estimate=lambda many: [{} for _ in many],
            edit=lambda values: tasks.replace_constants(asset, values),
            refuse=refuse,
        )

    def decide(
        self, proposal: Proposal, verdict: Verdict = Verdict.WORSE, difference: float | None = 0.01, **run: object
    ) -> tuple[Experiment, list[Run]]:
        """Record a proposal with this verdict; a refused one gets no run."""
        number, parent = len(self.experiments) + 1, self.incumbent
        files = self.assets[parent]
        refusal = tasks.refuse(self.loaded.task, files, proposal.files, self.tried)
        failed = f"{run.get('reason')}: simulated" if verdict is Verdict.FAILED else None
        reason = proposal.refused or (f"{refusal.name}: {refusal.detail}" if refusal else None)
        if reason:
            verdict, difference = Verdict.REFUSED, None
        else:
            self.tried.add(tasks.fingerprint(proposal.files))
            self.assets[number] = dict(proposal.files)
            self.configurations[number] = tasks.read_constants(proposal.files)
        mine = [] if reason else [self._run(number, "screen", **{"score": 3.0 + (difference or 0.0), **run})]
        if verdict in (Verdict.KEPT, Verdict.KEPT_SIMPLER):
            self.incumbent = number
        experiment = Experiment(
            night_id="night",
            experiment=number,
            parent=parent,
            agent=proposal.agent,
            hypothesis=proposal.hypothesis,
            predicted_effect=proposal.predicted_effect,
            diff=tasks.unified_diff(files, proposal.files),
            asset_sha256=f"{number:064x}",
            verdict=verdict,
            reason=reason or failed,
            runs=[r.run for r in mine],
            difference=difference,
            interval_low=None if difference is None else difference - 0.004,
            interval_high=None if difference is None else difference + 0.004,
            noise_sd=0.0025,
            noise_n=9,
            incumbent=self.incumbent,
            tokens_in=proposal.tokens_in,
            tokens_out=proposal.tokens_out,
            tokens_cached=proposal.tokens_cached,
            cost_usd=proposal.cost_usd,
            decided_at="2026-01-01T00:00:00Z",
        )
        self.experiments.append(experiment)
        return experiment, mine

    def _run(self, experiment: int, kind: str, score: object, **fields: object) -> Run:
        values: dict[str, object] = {"status": "ok", "score": score, "observables": {"steps": 1200.0 + experiment, "steps_per_s": 40.0}}
        run = Run(
            **{
                "night_id": "night",
                "experiment": experiment,
                "run": len(self.runs) + 1,
                "kind": kind,
                "metric": self.loaded.task.metric.name,
                "seed": 1,
                "asset_sha256": f"{experiment:064x}",
                "task_sha256": "0" * 64,
                "isolation": "none",
                "device": "test-cpu",
                "started_at": "2026-01-01T00:00:00Z",
                "curve": [(float(n), 40.0 * n, 3.5 - 0.01 * n) for n in range(30)],
                **values,
                **fields,
            }  # type: ignore[arg-type]
        )
        self.runs.append(run)
        return run


def answer(old: str, new: str, *, hypothesis: str = "smaller is faster here", predicted: str = "-0.02", file: str = " asset.py") -> str:
    """A well-formed answer of one block."""
    return f"HYPOTHESIS: {hypothesis}\nPREDICTED: {predicted}\n<<<<<<< SEARCH{file}\n{old}\n=======\n{new}\n>>>>>>> REPLACE\n"
