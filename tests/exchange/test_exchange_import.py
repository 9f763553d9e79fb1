"""Others' files: what is understood is kept with its text, what is not is listed, nothing is invented."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance import exchange
from appliance.errors import UsageError

THEIRS = Path(__file__).resolve().parents[3] / "shared" / "data"

FIVE = """commit\tval_bpb\tmemory_gb\tstatus\tdescription
baseline\t0.997900\t44.0\tkeep\tbaseline
bea057b\t0.986041\t43.9\tkeep\thalve the batch
7f2a65c\t0.987000\t60.2\tdiscard\tdepth 9
e05a87d\t0.000000\t0.0\tcrash\tbatch 131K (assert fail)
187e419\t0.986500\t60.2\tkeep\tadd warm-up
"""

LOG = """Vocab size: 8,192
Time budget: 300s
step 00000 (0.0%) | loss: 9.011035 | lrm: 0.00 | dt: 952ms | remaining: 300s
step 00001 (50.0%) | loss: 5.5 | lrm: 0.00 | dt: 952ms | remaining: 150s
step 00002 (99.8%) | loss: 4.302467 | lrm: 0.00 | dt: 824ms | remaining: 0s
---
val_bpb:          1.568223
training_seconds: 300.1
total_seconds:    318.5
peak_vram_mb:     1804.5
num_steps:        376
"""


def theirs(name: str) -> exchange.Imported:
    path = THEIRS / name
    if not path.is_file():
        pytest.skip("others' files do not lie beside this checkout")
    return exchange.read(path)


def test_the_h100_night_imports_with_its_own_counts() -> None:
    imported = theirs("h100_126_results.tsv")
    night = imported.nights[0]
    assert imported.statuses == [{"keep": 23, "discard": 102, "crash": 1}]
    assert imported.leftovers == []
    assert len(imported.rows) == 126
    assert len(night.experiments) == 125
    assert night.state.incumbent == min(night.runs, key=lambda run: run.score or 9).experiment
    assert min(run.score for run in night.runs if run.score) == 0.969686
    assert [run.score for run in night.runs if run.status == "failed"] == [None]


def test_the_rtx2060_night_keeps_a_keep_that_is_worse_than_the_best() -> None:
    imported = theirs("rtx2060_24_results.tsv")
    assert imported.statuses == [{"keep": 12, "discard": 12}]
    assert [row.line for row in imported.rows if row.note and "no better than the best" in row.note] == [17]
    assert imported.nights[0].experiments[14].verdict == "kept"
    assert imported.nights[0].experiments[14].incumbent == 11


def test_the_gb10_repeats_are_runs_without_verdicts() -> None:
    imported = theirs("gb10_599_repeats.tsv")
    night = imported.nights[0]
    assert len(night.runs) == len(imported.rows) == 599
    assert night.experiments == []
    slow = [run for run in night.runs if run.observables["steps"] < 500]
    assert len(slow) == 178
    assert night.runs[0].observables["tokens"] == 38.5e6
    assert night.runs[0].observables["peak_memory_bytes"] == 10070.5e6


def test_the_utf_16_log_is_one_run_with_its_curve() -> None:
    imported = theirs("gtx1050ti_utf16_run.log")
    assert imported.encoding == "utf-16-le"
    (run,) = imported.nights[0].runs
    assert run.score == 1.568223
    assert run.observables["steps"] == 376
    assert run.curve[-1] == (pytest.approx(299.4), 375, 4.302467)
    assert len(run.curve) <= 200
    assert all(leftover.line <= 14 for leftover in imported.leftovers)


def test_five_columns_become_a_night_that_is_marked_imported() -> None:
    imported = exchange.read_bytes(FIVE.encode(), "results.tsv")
    (night,) = imported.nights
    assert night.plan.imported
    assert {"hours", "seed", "started_at", "device", "preset.budget_s"} <= set(night.plan.unknown)
    assert [run.score for run in night.runs] == [0.9979, 0.986041, 0.987, None, 0.9865]
    assert [str(e.verdict) for e in night.experiments] == ["kept", "worse", "failed", "kept"]
    assert [e.incumbent for e in night.experiments] == [1, 1, 1, 1]
    assert night.experiments[2].reason == "crash"
    assert night.plan.task.metric.smallest_effect == 1e-6
    assert imported.compared == [3]
    assert all(run.seed is None for run in night.runs)


def test_every_row_keeps_its_line_and_text() -> None:
    imported = exchange.read_bytes(FIVE.encode(), "results.tsv")
    assert [(row.line, row.text) for row in imported.rows] == list(enumerate(FIVE.splitlines(), start=1))[1:]


def test_rows_without_a_header_are_read_by_their_shape() -> None:
    rows = "\n".join(FIVE.splitlines()[1:]) + "\n\t0.98\tkeep\tno commit, no memory\n"
    (night,) = exchange.read_bytes(rows.encode(), "results.tsv").nights
    assert [run.score for run in night.runs] == [0.9979, 0.986041, 0.987, None, 0.9865, 0.98]
    assert night.runs[-1].observables == {}
    assert night.experiments[-1].hypothesis == "no commit, no memory"


def test_a_row_with_a_missing_cell_is_read_by_what_it_holds() -> None:
    text = FIVE + "0.970000\t44.0\tkeep\tthe commit cell is missing altogether\n"
    (night,) = exchange.read_bytes(text.encode(), "results.tsv").nights
    assert night.runs[-1].score == 0.97
    assert night.runs[-1].observables["peak_memory_bytes"] == 44e9


def test_extra_columns_are_observables_in_our_units() -> None:
    text = "exp,commit,val_bpb,num_steps,mfu_percent,peak_vram_mb,my_own,status,description\n"
    text += "1,abc,1.5,93,12.5,2048,7,keep,base, with a comma\n"
    (night,) = exchange.read_bytes(text.encode(), "x.csv").nights
    assert night.runs[0].observables == {"steps": 93, "mfu": 0.125, "peak_memory_bytes": 2048e6, "my_own": 7}


def test_a_status_that_nobody_knows_gets_no_verdict_and_is_said() -> None:
    imported = exchange.read_bytes((FIVE + "aaa\t0.98\t44.0\tinteresting\thm\n").encode(), "results.tsv")
    assert imported.rows[-1].note == "status 'interesting' is not known: no verdict"
    assert imported.nights[0].runs[-1].score == 0.98
    assert len(imported.nights[0].experiments) == 4


def test_rows_below_a_banner_are_a_night_of_their_own() -> None:
    imported = exchange.read_bytes((FIVE + "\n=== phase 2: 600 s ===\n" + "b1\t1.5\t2.0\tkeep\tbaseline\n" * 2).encode(), "results.tsv")
    assert [len(night.runs) for night in imported.nights] == [5, 2]
    assert imported.titles == [None, "=== phase 2: 600 s ==="]
    assert [leftover.line for leftover in imported.leftovers] == [8]


def test_a_second_header_starts_a_second_table() -> None:
    imported = exchange.read_bytes((FIVE + FIVE).encode(), "results.tsv")
    assert [len(night.runs) for night in imported.nights] == [5, 5]
    assert len({night.plan.night_id for night in imported.nights}) == 2


def test_a_markdown_table_reads_like_any_other() -> None:
    text = "Results\n\n| commit | val_bpb | status | description |\n|---|---|---|---|\n"
    text += "| a1 | 1.2 | keep | baseline |\n| b2 | 1.1 | keep | x |\n"
    imported = exchange.read_bytes(text.encode(), "README.md")
    assert [run.score for run in imported.nights[0].runs] == [1.2, 1.1]
    assert [leftover.text for leftover in imported.leftovers] == ["Results"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "latin-1"])
def test_any_encoding_gives_the_same_rows(encoding: str) -> None:
    text = FIVE.replace("halve the batch", "halve the batch (café)")
    (night,) = exchange.read_bytes(text.encode(encoding), "results.tsv").nights
    assert night.experiments[0].hypothesis == "halve the batch (café)"
    assert len(night.runs) == 5


def test_carriage_returns_in_progress_lines_are_line_ends() -> None:
    text = LOG.replace("remaining: 300s\n", "remaining: 300s\r").replace("remaining: 150s\n", "remaining: 150s\r")
    (night,) = exchange.read_bytes(("\ufeff" + text.replace("\n", "\r\n")).encode("utf-16-le"), "run.log").nights
    assert night.runs[0].score == 1.568223
    assert night.runs[0].curve == [(0.0, 0.0, 9.011035), (150.0, 1.0, 5.5), (299.4, 2.0, 4.302467)]
    assert night.runs[0].budget_s == 300
    assert night.runs[0].wall_s == 318.5


def test_a_log_of_two_runs_is_two_nights_of_one_run() -> None:
    imported = exchange.read_bytes((LOG + LOG.replace("1.568223", "1.5")).encode(), "run.log")
    assert [night.runs[0].score for night in imported.nights] == [1.568223, 1.5]


def test_a_log_that_ends_in_a_traceback_is_a_failed_run() -> None:
    text = LOG.split("---")[0] + "Traceback (most recent call last):\ntorch.OutOfMemoryError: CUDA out of memory.\n"
    (run,) = exchange.read_bytes(text.encode(), "run.log").nights[0].runs
    assert (run.status, run.reason, run.score) == ("failed", "out_of_memory", None)


@pytest.mark.parametrize("cell", ["", "nan", "inf", "-", "crash", "1,234", "0", "1e999", "٣.٥"])
def test_a_score_that_is_no_number_is_null_and_the_row_stays(cell: str) -> None:
    imported = exchange.read_bytes((FIVE + f"abc\t{cell}\t44.0\tcrash\tx\n").encode(), "results.tsv")
    assert imported.nights[0].runs[-1].score is None
    assert imported.nights[0].runs[-1].status == "failed"


def test_nothing_understood_is_no_night_and_every_line_is_listed() -> None:
    imported = exchange.read_bytes(b"Dear all,\n\nplease find attached\n", "mail.txt")
    assert imported.nights == []
    assert [(leftover.line, leftover.text) for leftover in imported.leftovers] == [(1, "Dear all,"), (3, "please find attached")]


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none.tsv cannot be read: No such file"):
        exchange.read(tmp_path / "none.tsv")


def test_keeps_within_the_noise_are_counted() -> None:
    imported = exchange.read_bytes(FIVE.encode(), "results.tsv", noise_sd=0.001)
    assert exchange.doubtful_keeps(imported, 0.001) == [1]
    assert imported.nights[0].experiments[0].noise_sd == 0.001


CELL = st.one_of(
    st.text(max_size=12),
    st.sampled_from(["keep", "discard", "crash", "baseline", "val_bpb", "commit", "status", "description", "memory_gb", "", "nan"]),
    st.floats(allow_nan=True).map(str),
    st.floats(0, 2).map(lambda value: f"{value:.6f}"),
)
ROW = st.tuples(st.lists(CELL, max_size=8), st.sampled_from(["\t", ",", "|", " "])).map(lambda row: row[1].join(row[0]))
TEXT = st.lists(st.one_of(ROW, st.sampled_from([*FIVE.splitlines(), *LOG.splitlines()])), max_size=25)


def check(raw: bytes) -> exchange.Imported:
    imported = exchange.read_bytes(raw, "fuzz")
    runs = [run for night in imported.nights for run in night.runs]
    experiments = [experiment for night in imported.nights for experiment in night.experiments]
    assert len(runs) <= len(imported.rows)
    assert len(experiments) <= len(imported.rows)
    texts = {(row.table, row.run): row.text for row in imported.rows if row.run is not None}
    assert len(texts) == len(runs)
    for table, night in enumerate(imported.nights):
        for run in night.runs:
            assert run.score is None or any(_reads(word, run.score) for word in _words(texts[table, run.run]))
            assert (run.status == "ok") == (run.score is not None)
    return imported


def _words(text: str) -> list[str]:
    for separator in "\t,|: \"'":
        text = text.replace(separator, "\n")
    return text.split("\n")


def _reads(word: str, score: float) -> bool:
    try:
        return float(word) == score
    except ValueError:
        return False


@settings(max_examples=150, deadline=None)
@given(TEXT, st.sampled_from(["\n", "\r\n", "\r"]), st.sampled_from(["utf-8", "utf-16", "utf-16-le"]))
def test_no_text_crashes_the_importer_and_no_row_is_invented(lines: list[str], end: str, encoding: str) -> None:
    raw = end.join(lines).encode(encoding, errors="replace")
    imported = check(raw)
    known = {line for piece in raw.decode(encoding).split("\n") for line in piece.replace("\0", "").split("\r")}
    assert {row.text for row in imported.rows} | {leftover.text for leftover in imported.leftovers} <= {
        part for line in known for part in (line, line.lstrip("\ufeff"))
    }


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=400))
def test_no_bytes_crash_the_importer(raw: bytes) -> None:
    check(raw)


def test_a_number_that_lost_a_digit_to_a_control_character_is_no_number() -> None:
    imported = check(FIVE.replace("0.987000", "\x1c.987000").encode())
    assert 0.987 not in [run.score for night in imported.nights for run in night.runs]


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_damaged_file_never_gains_rows(data: st.DataObject) -> None:
    raw = bytearray(FIVE.encode())
    for _ in range(data.draw(st.integers(1, 5))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    imported = check(bytes(raw))
    assert len(imported.rows) <= bytes(raw).count(b"\n") + bytes(raw).count(b"\r") + 1
