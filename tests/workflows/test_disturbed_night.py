"""What `make bench-disturbed-night` asks of a night's rows, on rows whose answers are known."""

from datetime import UTC, datetime, timedelta

import aftermath_nights
import disturbed_night
import msgspec
import pytest
import simulated_night

from appliance import ledger
from appliance.records import Night, Reason, Run, Verdict
from appliance.workflows import overnight
from appliance.workflows.clock import Clock
from appliance.workflows.progress import Silent

START = datetime(2026, 1, 1, tzinfo=UTC)
Files = dict[str, dict[str, str]]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Night, Files]:
    """A simulated night with verdicts of the real judge, and every asset; run n trains from second 10 n + 1 to 10 n + 9."""
    root = tmp_path_factory.mktemp("nights")
    proposals = simulated_night.write_proposals(root / "proposals", 24)
    place = simulated_night.workplace(root)
    plan, baseline = simulated_night.plan_of(simulated_night.Simulation(root=root, replay=proposals), place)
    with ledger.create(root, plan, [baseline], reserve_bytes=0, heartbeat_s=0) as book:
        overnight.work(book, place, aftermath_nights.Counted(), Silent(), Clock(1e9))
        assets = {e.asset_sha256: book.load_asset(e.asset_sha256) for e in book.experiments()} | {plan.baseline_sha256: baseline}
    night = ledger.read(root / plan.night_id)
    return msgspec.structs.replace(night, runs=[_at(run, 10 * run.run) for run in night.runs]), assets


def _at(row: Run, second: float, **changes: object) -> Run:
    started = (START + timedelta(seconds=second)).isoformat()
    return msgspec.structs.replace(
        row, started_at=started, phases={"create": 0.5, "startup": 0.5, "budget": 8.0, "evaluate": 0.5}, budget_s=8.0, **changes
    )


def _load(first_s: float, last_s: float) -> tuple[datetime, datetime]:
    return START + timedelta(seconds=first_s), START + timedelta(seconds=last_s)


def _answer(night: Night, assets: Files, load: tuple[datetime, datetime]) -> dict[str, object]:
    return disturbed_night.answer(night, disturbed_night.look(night, load), assets)


def test_the_rows_alone_give_the_verdicts_of_the_night(whole: tuple[Night, Files]):
    night, assets = whole
    judged = {e.experiment: e.verdict for e in night.experiments if e.verdict is not Verdict.REFUSED}
    assert {Verdict.KEPT, Verdict.WITHIN_NOISE, Verdict.FAILED} <= set(judged.values())
    assert disturbed_night.verdicts(night, assets) == judged


def test_a_night_whose_loaded_runs_are_invalid_and_repeated_passes(whole: tuple[Night, Files]):
    night, assets = whole
    last = len(night.runs)
    screen = next(run for run in night.runs if run.kind == "screen")
    slow = {"status": "invalid", "reason": Reason.DISTURBED_CONTENTION, "score": None, "observables": {"steps_per_s": 50.0}}
    invalid = [_at(screen, 10 * n, run=n, **slow) for n in range(last + 1, last + 5)]
    found = _answer(msgspec.structs.replace(night, runs=[*night.runs, *invalid]), assets, _load(10 * last + 10, 10 * last + 50))
    assert found["problems"] == []
    assert (found["loaded_and_slower"], found["loaded_and_slower_invalid"]) == (4, 4)


def test_a_slower_run_under_the_load_that_counted_is_told(whole: tuple[Night, Files]):
    night, assets = whole
    chosen = [run.run for run in night.runs if run.kind == "calibration"][1]
    runs = [msgspec.structs.replace(r, observables={"steps_per_s": 50.0}) if r.run == chosen else r for r in night.runs]
    found = _answer(msgspec.structs.replace(night, runs=runs), assets, _load(10 * chosen, 10 * chosen + 10))
    assert f"run {chosen} lost throughput under the load and was counted" in found["problems"]


def test_an_invalid_run_that_never_met_the_load_is_told_but_for_one_that_the_hypervisor_disturbed(whole: tuple[Night, Files]):
    night, assets = whole
    void = {"status": "invalid", "score": None}
    runs = [
        *night.runs,
        _at(night.runs[0], 5000.0, run=900, reason=Reason.DISTURBED_CONTENTION, **void),
        _at(night.runs[0], 5020.0, run=901, reason=Reason.DISTURBED_STEAL, **void),
    ]
    found = _answer(msgspec.structs.replace(night, runs=runs), assets, _load(10, 20))
    assert "run 900 never met the load and is invalid" in found["problems"]
    assert "run 901 never met the load and is invalid" not in found["problems"]
    assert found["hypervisor_took_the_cores"] == 1


def test_a_verdict_that_stands_on_runs_of_the_load_is_told(whole: tuple[Night, Files]):
    night, assets = whole
    kept = next(e for e in night.experiments if e.verdict is Verdict.KEPT)
    found = _answer(night, assets, _load(10 * min(kept.runs), 10 * max(kept.runs) + 10))
    assert f"the verdict on experiment {kept.experiment} stands on runs of the load" in found["problems"]


def test_a_night_that_no_load_met_shows_nothing(whole: tuple[Night, Files]):
    assert _answer(*whole, _load(9000, 9300))["problems"] == ["no run met the load: there is nothing to see"]
