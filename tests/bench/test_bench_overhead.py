"""From rows to where a night went."""

import overhead
import pytest

from appliance.errors import UsageError
from appliance.records import Run

PHASES = {"create": 0.5, "import": 2.0, "budget": 30.0, "finish": 0.25, "collect": 0.25, "evaluate": 2.0}
WALL_S = 35.0


def row(number: int, started_s: int, **changes: object) -> Run:
    values: dict[str, object] = {
        "night_id": "n", "experiment": number, "run": number, "kind": "screen", "status": "ok", "metric": "m", "score": 1.0, "seed": 1,
        "asset_sha256": "0" * 64, "task_sha256": "0" * 64, "isolation": "docker", "device": "cpu",
        "started_at": f"2026-01-01T00:{started_s // 60:02}:{started_s % 60:02}.500+00:00", "wall_s": WALL_S, "phases": PHASES,
    }  # fmt: skip
    return Run(**{**values, **changes})  # type: ignore[arg-type]


def test_every_second_between_the_first_start_and_the_last_end_is_counted_once():
    found = overhead.breakdown([row(n, 36 * n) for n in range(4)])
    assert found.phases == {**PHASES, "between": 1.0}
    assert found.outside_budget_s == pytest.approx(4.0)
    assert found.evaluation_s == 2.0
    assert found.training_share == pytest.approx(4 * 30 / (4 * WALL_S + 3 * 1.0))


def test_a_failed_run_costs_share_and_shifts_no_median():
    failed = row(2, 72, status="failed", score=None, wall_s=5.0, phases={"create": 0.5, "import": 4.5})
    found = overhead.breakdown([row(0, 0), row(1, 36), failed, row(3, 77)])
    assert (found.runs, found.lost) == (3, 1)
    assert found.phases["import"] == 2.0
    assert found.training_share == pytest.approx(90 / (3 * WALL_S + 5 + 1 + 1))


def test_confirmations_are_left_out_and_no_gap_is_counted_across_them():
    found = overhead.breakdown([row(0, 0), row(1, 36), row(2, 72, kind="confirm", phases={"budget": 1.0}), row(3, 500)])
    assert found.runs == 3
    assert found.phases["between"] == 1.0


def test_runs_that_overlap_leave_no_negative_gap():
    assert overhead.breakdown([row(0, 0), row(1, 33)]).phases["between"] == 0.0


def test_rows_without_phases_are_refused_with_the_reason():
    with pytest.raises(UsageError, match="older release"):
        overhead.breakdown([row(0, 0, phases={})])


def test_two_nights_stand_side_by_side():
    lines = overhead.table({"off": overhead.breakdown([row(0, 0)]), "on": overhead.breakdown([row(0, 0)])}).splitlines()
    assert lines[0].split() == ["off", "on"]
    assert "between" not in lines[-5]
    assert len({len(line) for line in lines}) == 1
