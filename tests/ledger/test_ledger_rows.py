"""Rows in Parquet: what any reader gets."""

import duckdb
import msgspec
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from appliance import ledger
from appliance.errors import ApplianceError, UsageError
from appliance.ledger import columns
from appliance.records import Experiment, Reason, Run, Telemetry


def test_a_run_reads_back_as_it_was_recorded(night, make_run):
    run = make_run(1, status="failed", reason=Reason.CRASH, score=None, suspicious=["too_good"])
    night.record_run(run)
    assert night.run(1) == run
    assert ledger.read(night.folder).runs == [run]


def test_memory_holds_a_run_without_its_curve_and_log(night, make_run):
    night.record_run(make_run(1))
    (light,) = night.runs()
    assert light.curve == []
    assert light.log_tail == ""
    assert light.observables == {"steps": 12.0, "tokens": 3.0}


def test_a_column_has_its_type_where_every_value_is_null(night, make_run, make_experiment):
    night.record_run(make_run(1, score=None, scores=[], curve=[], telemetry=Telemetry(), observables={}, status="failed"))
    night.record_experiment(make_experiment(1))
    runs = ds.dataset(night.folder / "runs", format="parquet").schema
    assert runs.field("score").type == pa.float64()
    assert runs.field("driver").type == pa.string()
    assert runs.field("suspicious").type == pa.list_(pa.string())
    assert runs.field("observables").type == pa.map_(pa.string(), pa.float64())
    assert runs.field("curve").type == pa.list_(pa.struct([("seconds", pa.float64()), ("step", pa.float64()), ("value", pa.float64())]))
    assert pa.types.is_struct(runs.field("telemetry").type)
    experiments = ds.dataset(night.folder / "experiments", format="parquet").schema
    assert experiments.field("p").type == pa.float64()
    assert experiments.field("runs").type == pa.list_(pa.int64())
    assert experiments.field("cost_usd").type == pa.float64()


def test_duckdb_reads_runs_and_experiments_of_a_night_that_goes_on(night, make_run, make_experiment):
    for number in (1, 2, 3):
        night.record_run(make_run(number, experiment=number))
        night.record_experiment(make_experiment(number))
    night.plan_run(4, 4, "screen", 4, "a" * 64)
    folder = night.folder
    query = (
        "SELECT r.run, r.observables['steps'], r.curve[1].value, e.verdict "
        f"FROM '{folder}/runs/*.parquet' r JOIN '{folder}/experiments/*.parquet' e USING (experiment) ORDER BY r.run"
    )
    assert duckdb.sql(query).fetchall() == [(n, 12.0, 3.0, "within_noise") for n in (1, 2, 3)]


def test_a_score_that_is_not_finite_is_refused_and_nothing_is_written(night, make_run):
    with pytest.raises(ApplianceError, match=r"run\.score is nan"):
        night.record_run(make_run(1, score=float("nan")))
    assert list((night.folder / "runs").iterdir()) == []
    assert night.runs() == []


def test_other_numbers_that_are_not_finite_become_null_or_are_left_out(night, make_run):
    night.record_run(
        make_run(
            1,
            wall_s=float("inf"),
            observables={"steps": 3.0, "mfu": float("nan")},
            curve=[(0.0, 1.0, float("nan")), (1.0, 2.0, 3.0)],
            telemetry=Telemetry(power_w_mean=float("inf")),
        )
    )
    run = night.run(1)
    assert run.wall_s is None
    assert run.observables == {"steps": 3.0}
    assert run.curve == [(1.0, 2.0, 3.0)]
    assert run.telemetry.power_w_mean is None


def test_a_newer_format_is_refused_with_both_versions(night, make_run):
    night.record_run(make_run(1))
    path = night.folder / "runs" / "run-000001.parquet"
    table = pq.read_table(path)
    pq.write_table(table.replace_schema_metadata({b"appliance.format_version": b"99"}), path)
    with pytest.raises(UsageError, match="has format 99, this release reads up to 1"):
        ledger.read(night.folder)


def test_a_newer_night_json_is_refused_before_its_fields_are_looked_at(night):
    path = night.folder / "night.json"
    document = msgspec.json.decode(path.read_bytes())
    path.write_bytes(msgspec.json.encode({**document, "format_version": 2, "unheard_of": True}))
    with pytest.raises(UsageError, match="has format 2"):
        ledger.read(night.folder)


def test_a_file_without_a_later_column_gives_its_default(night, make_run):
    night.record_run(make_run(1))
    path = night.folder / "runs" / "run-000001.parquet"
    pq.write_table(pq.read_table(path).drop_columns(["dataset", "suspicious"]), path)
    (run,) = ledger.read(night.folder).runs
    assert run.dataset is None
    assert run.suspicious == []


def test_every_field_of_the_records_has_a_column():
    for cls in (Run, Experiment):
        assert columns.schema(cls).names == [field.name for field in msgspec.structs.fields(cls)]


def test_slices_of_a_table_give_the_rows_of_the_slice(make_run):
    runs = [
        make_run(n, observables={f"o{k}": float(k) for k in range(n)}, curve=[(1.0, float(k), 2.0) for k in range(n)]) for n in range(9)
    ]
    table = columns.to_table(Run, runs)
    assert columns.from_table(Run, table.slice(3, 4)) == runs[3:7]
    assert columns.from_table(Run, pa.concat_tables([table.slice(5), table.slice(0, 5)])) == runs[5:] + runs[:5]
