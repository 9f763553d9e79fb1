"""The loop of a night: calibrate, then [propose → run → judge → record] until the clock is spent.

Every decision is taken from what is recorded, so the loop can be killed at any instruction and started again on the same ledger: an
experiment that was under way goes on where its last recorded run left it.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from appliance import judge, tasks
from appliance.agents import Agent
from appliance.errors import ApplianceError
from appliance.ledger import Ledger
from appliance.records import Experiment, Proposal, Run, Verdict, View
from appliance.workflows.assets import Assets
from appliance.workflows.belief import Belief, kept
from appliance.workflows.clock import Clock
from appliance.workflows.execution import Corpus
from appliance.workflows.progress import Progress
from appliance.workflows.runs import Order, Runs

_REFUSALS = 25
"""This many refused proposals in a row end the search: the agent has nothing left to say."""


@dataclass(slots=True)
class Search:
    """One night's calibration and search."""

    book: Ledger
    runs: Runs
    belief: Belief
    assets: Assets
    agent: Agent
    loaded: tasks.LoadedTask
    estimator: tasks.Estimator
    corpus: Corpus
    clock: Clock
    progress: Progress

    def calibrate(self) -> None:
        """Runs of the unchanged asset until this machine's noise is known.

        Raises:
            ApplianceError: the unchanged asset does not run here.
        """
        effect = self.book.plan.task.metric.smallest_effect
        if self.belief.epoch == 0:
            self._begin_epoch("start")
        while not judge.calibration_complete(self.belief.fresh(0), effect):
            run = self.runs.execute(self._order(0, "calibration", f"calibration/{self.belief.epoch}/{self._calibrations()}"))
            if run.status == "invalid":
                raise ApplianceError(f"the machine is too busy to measure on ({run.reason}): end what else runs on it and start again")
            if self._calibrations(("failed", "rejected")) > 2:
                raise ApplianceError(f"the unchanged asset does not run on this machine: {run.reason}: {run.detail or run.log_tail[-300:]}")
        decided = {e.experiment: e.calibration for e in self.book.experiments()}
        for experiment in (0, self.belief.incumbent):
            if decided.get(experiment) == self.belief.epoch:
                continue  # it has its fresh runs; a resumed night must not add to them
            while len(self.belief.fresh(experiment)) < 2:  # after a new calibration the incumbent has no sample of this machine yet
                again = f"again/{self.belief.epoch}/{experiment}/{len(self.belief.fresh(experiment))}"
                run = self.runs.execute(self._order(experiment, "rebaseline", again))
                if run.status != "ok":
                    break

    def search(self) -> None:
        """Experiments until the clock, less what is reserved, is spent or the agent has nothing left."""
        refused = 0
        for pending in self.book.pending_experiments():
            if pending.proposal is not None:
                self._settle(pending.number, pending.proposal)
        self._visit_baseline(self.book.next_experiment() - 1)
        while self._time_for_a_run():
            proposal = self.agent.propose(self._view())
            self._tell()
            if proposal is None:
                self.progress.note("the agent has nothing left to try")
                break
            number = self.book.next_experiment()
            self.book.plan_experiment(number, proposal, parent=self.belief.incumbent, agent_state=self.agent.dump())
            experiment = self._settle(number, proposal)
            refused = refused + 1 if experiment.verdict is Verdict.REFUSED else 0
            if refused >= _REFUSALS:
                self.progress.note(f"{refused} proposals in a row were refused: the search ends")
                break
            self._visit_baseline(number)

    def _settle(self, number: int, proposal: Proposal) -> Experiment:
        """Everything that one proposal needs until its verdict is recorded."""
        parent = self.belief.incumbent
        files = self.assets.files(parent)
        refusal = tasks.refuse(self.loaded.task, files, proposal.files, self.assets.tried(before=number))
        if proposal.refused is not None:
            refusal = tasks.Refusal("no_usable_answer", proposal.refused)
        proposed = {name: proposal.files.get(name, files[name]) for name in files}  # a foreign file is refused, not kept
        asset = self.book.store_asset(proposed)
        self.assets.add(number, asset, proposed, ran=refusal is None)
        diff = tasks.unified_diff(files, proposed)
        step: judge.Step | None
        reason: str | None
        if refusal is not None:
            step, verdict, reason = None, Verdict.REFUSED, f"{refusal.name}: {refusal.detail}"
        else:
            step, verdict, reason = self._measure(number, parent, proposal.files, asset)
        mine = self.book.runs_of(number)
        experiment = Experiment(
            night_id=self.book.plan.night_id,
            experiment=number,
            parent=parent,
            agent=proposal.agent,
            hypothesis=proposal.hypothesis,
            predicted_effect=proposal.predicted_effect,
            diff=diff,
            asset_sha256=asset,
            verdict=verdict,
            reason=reason,
            runs=[r.run for r in mine if r.status != "invalid"],
            runs_invalid=[r.run for r in mine if r.status == "invalid"],
            difference=step.difference if step else None,
            interval_low=step.interval_low if step else None,
            interval_high=step.interval_high if step else None,
            p=step.p if step else None,
            basis=step.basis if step else None,
            noise_sd=step.noise_sd if step else None,
            noise_n=step.noise_n if step else None,
            calibration=self.belief.epoch,
            incumbent=number if kept(verdict) else parent,
            tokens_in=proposal.tokens_in,
            tokens_out=proposal.tokens_out,
            tokens_cached=proposal.tokens_cached,
            cost_usd=proposal.cost_usd,
            decided_at=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        self.agent.observe(experiment, [self.book.run(run.run) for run in mine], proposal)
        self._tell()
        self.book.record_experiment(experiment, agent_state=self.agent.dump(), incumbent=experiment.incumbent)
        self.belief.add_experiment(experiment)
        self.progress.decided(experiment, self.belief.mean(self.belief.incumbent), self.belief.mean(0))
        return experiment

    def _measure(self, number: int, parent: int, files: Mapping[str, str], asset: str) -> tuple[judge.Step | None, Verdict, str | None]:
        """Run what the judge asks for until it has a verdict."""
        belief, metric = self.belief, self.book.plan.task.metric
        simpler = judge.simpler(self.assets.files(parent), files)
        for run in self.book.runs_of(number):  # a failure that was recorded before a cut is a failure still
            failed = self._failure(run) if run.status in ("failed", "rejected") else None
            if failed:
                return failed
        if not belief.screens(number):
            failed = self._failure(self.runs.execute(self._order(number, "screen", f"screen/{number}", files, asset)))
            if failed:
                return failed
        while True:
            noise = belief.noise()
            assert noise is not None, "calibration comes before the search"
            candidate, beside = belief.fresh(number), belief.beside(parent, number)
            step = judge.next_step(
                metric, belief.screens(number)[0], belief.before(parent, number), candidate, beside, noise, simpler=simpler
            )
            if step.verdict is not None:
                return step, step.verdict, None
            if not self._time_for_a_run():
                return step, Verdict.WITHIN_NOISE, "undecided when the clock of the search ended"
            if step.needs == "candidate":
                run = self.runs.execute(self._order(number, "replicate", f"pair/{number}/{len(candidate)}", files, asset, number))
                failed = self._failure(run)
                if failed:
                    return failed
            else:
                run = self.runs.execute(self._order(parent, "replicate", f"pair/{number}/{len(candidate) - 1}", for_experiment=number))
                if run.status != "ok":
                    return None, Verdict.FAILED, f"its incumbent could not be repeated beside it: {run.reason}"

    @staticmethod
    def _failure(run: Run) -> tuple[None, Verdict, str] | None:
        if run.status == "ok":
            return None
        verdict = Verdict.REJECTED if run.status == "rejected" else Verdict.FAILED
        return None, verdict, f"{run.reason}: {run.detail}" if run.detail else str(run.reason)

    def _tell(self) -> None:
        for line in self.agent.notes():
            self.progress.note(line)

    def _visit_baseline(self, after: int) -> None:
        """The baseline comes back now and then, once per turn however often the night was cut; a changed machine is calibrated anew.

        What the visit says is judged again by a resumed night: the cut may have come between the visit and the calibration.
        """
        if after < 1 or after % judge.REBASELINE_EVERY:
            return
        label = f"visit/{after}"
        seeds = self.runs.seeds(label)
        visits = [run for run in self.book.runs() if run.kind == "rebaseline" and run.seed in seeds]
        visit = next((run for run in visits if run.status in ("ok", "failed", "rejected")), None)
        visit = visit or self.runs.execute(self._order(0, "rebaseline", label))
        noise = self.belief.noise()
        if visit.score is None or noise is None or visit.run < self.belief.epoch_from:
            return
        *before, now = self.belief.fresh(0)  # the visit is the baseline's newest run: nothing else runs before the next experiment
        if judge.machine_changed(before, [now], noise, self.book.plan.task.metric.smallest_effect):
            self.progress.note("the machine is not the one that was calibrated: calibrating anew")
            self._begin_epoch("the baseline's score moved")
            self.calibrate()

    def _calibrations(self, statuses: Collection[str] = ("ok", "failed", "rejected")) -> int:
        """Of this epoch, before and after cuts; disturbed and interrupted ones were repeated and do not count."""
        runs = self.book.runs()
        return sum(run.kind == "calibration" and run.run >= self.belief.epoch_from and run.status in statuses for run in runs)

    def _begin_epoch(self, why: str) -> None:
        first = self.book.next_run()
        self.belief.begin_epoch(first)
        self.book.update_state(calibrations=[*self.book.state.calibrations, {"first_run": first, "why": why}])

    def _time_for_a_run(self) -> bool:
        needed = self.belief.seconds_per_run() or self.book.plan.preset.budget_s
        return self.clock.left_s - self.runs.reserved_s > 1.1 * needed

    def _order(
        self,
        experiment: int,
        kind: str,
        seed_label: str,
        files: Mapping[str, str] | None = None,
        asset: str | None = None,
        for_experiment: int | None = None,
    ) -> Order:
        return Order(
            experiment=experiment,
            kind=kind,
            files=files if files is not None else self.assets.files(experiment),
            asset_sha256=asset or self.assets.sha256(experiment),
            seed_label=seed_label,
            for_experiment=for_experiment,
            corpus=self.corpus,
        )

    def _view(self) -> View:
        plan, belief, noise = self.book.plan, self.belief, self.belief.noise()
        asset, tried = self.assets.files(belief.incumbent), self.assets.tried(before=self.book.next_experiment())

        def refuse(files: Mapping[str, str]) -> str | None:
            refusal = tasks.refuse(plan.task, asset, files, tried)
            return f"{refusal.name}: {refusal.detail}" if refusal else None

        return View(
            task=plan.task,
            preset=plan.preset,
            device=plan.device,
            profile=plan.profile,
            program=self.loaded.program(),
            asset=asset,
            asset_sha256=self.assets.sha256(belief.incumbent),
            constants=tasks.read_constants(asset),
            incumbent=belief.incumbent,
            incumbent_score=belief.mean(belief.incumbent),
            baseline_score=belief.mean(0),
            noise_sd=noise.sd if noise else None,
            noise_n=noise.df if noise else 0,
            experiments=self.book.experiments(),
            runs=self.book.runs(),
            configurations=self.assets.configurations(),
            seconds_left=max(0.0, self.clock.left_s - self.runs.reserved_s),
            seconds_per_run=belief.seconds_per_run() or plan.preset.budget_s,
            seed=plan.seed,
            estimate=self.estimator,
            edit=lambda values: tasks.replace_constants(asset, values),
            refuse=refuse,
        )
