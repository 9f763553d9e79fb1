"""A night as a table, and back."""

import csv
import io
from pathlib import Path

import pytest
from exchange_nights import night

from appliance import exchange
from appliance.errors import UsageError

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
