"""Every file under profiles/ that is shipped."""

import json
from pathlib import Path

import jsonschema
import pytest

from appliance import paths
from appliance.profiles import index, list_lines, read_datasheet, verify_file
from appliance.profiles.files import datasheet_files, measurement_files
from appliance.profiles.schema import schemas

ROOT = paths.share("profiles")
SHEETS = list(datasheet_files(ROOT))
MEASURED = list(measurement_files(ROOT))
UNITS = {"FLOP/s", "B", "B/s", "W"}


def _name(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


@pytest.mark.parametrize("name", sorted(schemas()))
def test_the_checked_in_schema_is_that_of_the_code(name: str) -> None:
    stored = json.loads((ROOT / "schema" / name).read_text())
    assert stored == json.loads(json.dumps(schemas()[name])), "run `python -m appliance.profiles.schema`"
    jsonschema.Draft202012Validator.check_schema(stored)


@pytest.mark.parametrize("path", SHEETS, ids=_name)
def test_a_shipped_datasheet_has_a_source_or_a_note_for_every_value(path: Path) -> None:
    sheet = read_datasheet(path)
    jsonschema.validate(json.loads(path.read_text()), schemas()["datasheet.schema.json"])
    assert path.parent.parent.name == sheet.vendor
    assert sheet.values
    for name, entry in sheet.values.items():
        assert entry.unit in UNITS
        assert (entry.value is None) == (entry.source is None), name
        assert entry.value is not None or entry.note, name
        assert entry.value is None or entry.value > 0, name
        if name.endswith("_flops"):
            assert entry.dense is True
            assert entry.accumulate == "float32"


@pytest.mark.parametrize("path", MEASURED, ids=_name)
def test_a_shipped_measurement_can_be_shared(path: Path) -> None:
    jsonschema.validate(json.loads(path.read_text()), schemas()["measurement.schema.json"])
    assert [finding for finding in verify_file(path) if finding.severity == "error"] == []


def test_no_two_sheets_claim_one_name_with_one_memory() -> None:
    claimed: dict[tuple[str, float | None], str] = {}
    for path in SHEETS:
        sheet = read_datasheet(path)
        memory = sheet.values["memory_bytes"].value if "memory_bytes" in sheet.values else None
        for name in sheet.nvml_names:
            assert (name, memory) not in claimed, name
            claimed[name, memory] = sheet.name


def test_rates_follow_the_rules_of_their_generation() -> None:
    for path in SHEETS:
        values = {name: entry.value for name, entry in read_datasheet(path).values.items()}
        half, quarter = values.get("bf16_flops"), values.get("fp8_flops")
        if half and quarter:
            assert 1.95 < quarter / half < 2.05, path.parent.name


def test_the_index_reads_everything_that_is_shipped() -> None:
    made = index([ROOT])
    assert made["problems"] == []
    assert len(made["boards"]) >= 60
    assert len(list_lines([ROOT])) == len(made["boards"])
    json.dumps(made, allow_nan=False)
