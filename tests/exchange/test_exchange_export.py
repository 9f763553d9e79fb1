"""A night as a table, and back."""

import csv
import io
from pathlib import Path

import msgspec
import pytest
from exchange_nights import experiment, night, run
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance import exchange
from appliance.errors import UsageError
from appliance.exchange.export import line
from appliance.records import Night, Reason, Verdict

THEIRS = "commit\tval_bpb\tmemory_gb\tstatus\tdescription\na\t1.200000\t44.0\tkeep\tbaseline\nb\t1.100000\t6.1\tkeep\tone\n"
THEIRS += "c\t1.150000\t6.1\tdiscard\ttwo\nd\t\t\tcrash\tthree\n"


def test_the_five_columns_are_the_original_ones() -> None:
    lines = exchange.results_tsv(night()).splitlines()
    assert lines[0] == "commit\tval_bpb\tmemory_gb\tstatus\tdescription"
    assert [line.split("\t")[3] for line in lines[1:]] == ["keep", "keep", "discard", "crash", "keep"]
    assert all(line.count("\t") == 4 for line in lines)
    assert lines[1].split("\t")[1] == "1.205000"
    assert lines[2].split("\t")[1] == "1.000000"
    assert lines[4].split("\t")[1] == ""


def test_csv_keeps_our_verdicts_and_intervals() -> None:
    rows = list(csv.DictReader(io.StringIO(exchange.results_csv(night()))))
    assert [row["status"] for row in rows] == ["baseline", "kept", "within_noise", "failed", "kept_simpler"]
    assert rows[1]["interval_low"] == "-0.250000"
    assert rows[3]["reason"] == "out_of_memory"
    assert rows[3]["val_bpb"] == ""


def test_csv_and_back_gives_the_same_experiments() -> None:
    before = night()
    after = exchange.read_bytes(exchange.results_csv(before).encode(), "night.csv").nights[0]
    assert [str(e.verdict) for e in after.experiments] == [str(e.verdict) for e in before.experiments]
    assert [e.hypothesis for e in after.experiments] == [" ".join(e.hypothesis.split()) for e in before.experiments]
    assert [run.score for run in after.runs] == [1.205, 1.0, 1.3, None, 1.1]
    assert [e.reason for e in after.experiments] == [e.reason for e in before.experiments]
    assert [e.decided_at for e in after.experiments] == [e.decided_at for e in before.experiments]


SCORES = st.floats(1e-9, 1e6, allow_nan=False)
ROW = st.tuples(st.sampled_from(list(Verdict)), SCORES, st.text(max_size=40), st.sampled_from([None, *Reason]))


def any_night(rows: list[tuple[Verdict, float, str, Reason | None]], baseline: float) -> Night:
    """A night of these experiments; those that failed have no score, all others one run."""
    runs, experiments = [run(1, 0, baseline)], []
    for number, (verdict, score, hypothesis, reason) in enumerate(rows, start=1):
        ran = verdict not in (Verdict.FAILED, Verdict.REJECTED, Verdict.REFUSED)
        runs += [run(number + 1, number, score)] if ran else []
        named = [number + 1] if ran else []
        why = None if ran else str(reason or "no reason")
        experiments.append(experiment(number, verdict, named, hypothesis=hypothesis, reason=why))
    return msgspec.structs.replace(night(), runs=runs, experiments=experiments)


@settings(max_examples=150, deadline=None)
@given(st.lists(ROW, max_size=8), SCORES)
def test_any_night_comes_back_from_csv_as_it_was(rows: list[tuple[Verdict, float, str, Reason | None]], baseline: float) -> None:
    before = any_night(rows, baseline)
    imported = exchange.read_bytes(exchange.results_csv(before).encode(), "night.csv")
    assert imported.leftovers == []
    (after,) = imported.nights
    assert [e.verdict for e in after.experiments] == [e.verdict for e in before.experiments]
    assert [e.reason for e in after.experiments] == [e.reason for e in before.experiments]
    assert [e.hypothesis for e in after.experiments] == [line(e.hypothesis) for e in before.experiments]
    assert [e.asset_sha256 for e in after.experiments] == [e.asset_sha256[:12] for e in before.experiments]
    assert {r.experiment: r.score for r in after.runs if r.score is not None} == {r.experiment: r.score for r in before.runs}


@settings(max_examples=150, deadline=None)
@given(st.lists(ROW, max_size=8), SCORES)
def test_any_night_comes_back_from_five_columns_with_the_three_statuses(
    rows: list[tuple[Verdict, float, str, Reason | None]], baseline: float
) -> None:
    before = any_night(rows, baseline)
    text = exchange.results_tsv(before)
    imported = exchange.read_bytes(text.encode(), "results.tsv")
    assert imported.leftovers == []
    (after,) = imported.nights
    assert exchange.results_tsv(after) == text
    assert {r.experiment: r.score for r in after.runs if r.score is not None} == {r.experiment: r.score for r in before.runs}
    assert [e.experiment for e in after.experiments] == [e.experiment for e in before.experiments]


def test_five_columns_and_back_gives_the_same_experiments() -> None:
    first = exchange.read_bytes(THEIRS.encode(), "results.tsv").nights[0]
    text = exchange.results_tsv(first)
    assert text == THEIRS
    again = exchange.read_bytes(text.encode(), "results.tsv").nights[0]
    assert again.experiments == first.experiments
    assert [run.score for run in again.runs] == [run.score for run in first.runs]


@pytest.mark.parametrize("name", ["night.tsv", "night.csv"])
def test_a_night_is_written_whole(tmp_path: Path, name: str) -> None:
    exchange.export_night(night(), tmp_path / name)
    assert len((tmp_path / name).read_text().splitlines()) == 6
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_another_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\.tsv \(five columns\) or \.csv"):
        exchange.export_night(night(), tmp_path / "night.xlsx")
