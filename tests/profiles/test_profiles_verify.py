"""What is refused, with the field and the reason."""

import json
from pathlib import Path
from typing import Any

import pytest

from appliance.errors import UsageError
from appliance.profiles import canonical_sha256, diff, export, from_probe, import_, index, read_measurement, store, strip, verify_file
from appliance.records import Device, Measurement


def _rehashed(path: Path, change: Any) -> Path:
    """The file after a change, with a hash that fits: someone who knows the format."""
    body = json.loads(path.read_text())
    change(body)
    body["sha256"] = canonical_sha256(body)
    path.write_text(json.dumps(body))
    return path


def _errors(path: Path, root: Path) -> dict[str, str]:
    return {finding.field: finding.text for finding in verify_file(path, [root]) if finding.severity == "error"}


def test_an_honest_file_has_no_findings(measurement: Measurement, root: Path) -> None:
    assert verify_file(store(measurement), [root]) == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not JSON"),
        ('{"schema_version": 1, "benchma', "truncated"),
        ("[]", "JSON object"),
        ('{"schema_version": 2}', "newer than this program reads"),
        ('{"schema_version": 0}', "schema_version must be"),
        ('{"schema_version": 1, "a": 1, "a": 2}', "stands twice"),
        ('{"schema_version": 1, "seconds": NaN}', "seconds is not a finite number"),
        ('{"schema_version": 1, "matrix": [{"flops": Infinity}]}', "matrix.0.flops is not a finite number"),
        ('{"schema_version": 1, "extra": 1}', "unknown field `extra`"),
    ],
)
def test_a_file_that_is_not_a_measurement_is_refused_with_the_reason(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "1-2026-11-23-00000000.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=reason):
        read_measurement(path)


def test_an_edited_file_is_refused_by_its_hash(measurement: Measurement, root: Path) -> None:
    path = store(measurement)
    path.write_text(path.read_text().replace('"mode": "full"', '"mode": "Full"'))
    assert "sha256 does not match" in _errors(path, root)["file"]


def _set(*keys: Any, to: Any) -> Any:
    def change(body: Any) -> None:
        for key in keys[:-1]:
            body = body[key]
        body[keys[-1]] = to

    return change


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (_set("matrix", 0, "flops", to=800e12), "matrix.bfloat16.flops"),
        (_set("matrix", 0, "samples_s", to=[1e-3]), "matrix.bfloat16.samples_s"),
        (_set("matrix", 0, "sustained_flops", to=1e15), "matrix.bfloat16.sustained_flops"),
        (_set("copy_bytes_per_s", to=4200.0), "copy_bytes_per_s"),
        (_set("bandwidth_samples_s", to={}), "bandwidth_samples_s.copy"),
        (_set("mamf_v2_samples_s", to=[1e-3]), "mamf_v2_samples_s"),
        (_set("attention_winners", 0, "backend", to="sdpa_math"), "attention_winners"),
        (_set("attention", 3, "reason", to=None), "attention.sdpa_efficient"),
        (_set("usable_memory_bytes", to=10**20), "usable_memory_bytes"),
        (_set("usable_memory_bytes", to=141), "usable_memory_bytes"),
        (_set("launch_overhead_s", to=3e6), "launch_overhead_s"),
        (_set("shared_device", to=True), "shared_device"),
        (_set("device", "uuid", to="GPU-1"), "device.uuid"),
        (_set("device", "colour", to="green"), "device"),
        (_set("benchmark_version", to="0"), "benchmark_version"),
        (_set("matrix", to=[]), "matrix"),
        (_set("copy_bytes_per_s", to=-1.0), "file"),
        (_set("seconds", to="long"), "file"),
        (_set("colour", to="green"), "file"),
    ],
)
def test_a_hand_made_file_is_refused_with_the_field(measurement: Measurement, root: Path, change: Any, field: str) -> None:
    assert field in _errors(_rehashed(store(measurement), change), root)


@pytest.mark.parametrize(("factor", "word"), [(1e-3, "wrong board"), (3.0, "wrong board"), (1e6, "impossible")])
def test_a_rate_beyond_the_datasheet_is_refused(raw: dict[str, Any], device: Device, root: Path, factor: float, word: str) -> None:
    for sample in raw["matrix"][0]["samples"]:
        sample[1] /= factor
    raw["matrix"][0]["sustained_flops"] = None
    made = from_probe(raw, device, {})
    shipped = Path(__file__).parents[2] / "profiles"
    found = {finding.field: finding.text for finding in verify_file(store(made), [shipped, root])}
    assert word in found["matrix.bfloat16.flops"]


def test_an_outlier_among_its_kind_is_named(raw: dict[str, Any], device: Device, root: Path) -> None:
    for i in range(3):
        body = json.loads(json.dumps(raw))
        for n, sample in enumerate(body["matrix"][0]["samples"]):
            sample[1] *= 1 + 0.001 * (i + n)
        store(from_probe({**body, "measured_at": f"2026-11-0{i + 1}T00:00:00+00:00"}, device, {}))
    for sample in raw["matrix"][0]["samples"]:
        sample[1] *= 1.3
    odd = store(from_probe(raw, device, {}))
    findings = verify_file(odd, [root])
    assert [(finding.severity, finding.field) for finding in findings] == [("warning", "bfloat16_flops")]
    assert "-23%" in findings[0].text


def test_the_same_samples_under_another_date_are_a_copy(raw: dict[str, Any], device: Device, tmp_path: Path) -> None:
    store(from_probe(raw, device, {}), tmp_path)
    copy = store(from_probe({**raw, "measured_at": "2026-11-24T00:00:00+00:00"}, device, {}), tmp_path)
    assert "a copy" in _errors(copy, tmp_path)["matrix"]


def test_export_strips_what_names_a_machine_and_says_what(raw: dict[str, Any], device: Device, root: Path, tmp_path: Path) -> None:
    raw["environment"]["hostname"] = "secret-host"
    raw["notes"] = ["look in /home/somebody/x"]
    made = from_probe(raw, device, {"isolation": "none"}, telemetry=[{"t": 7_654_321.0, "events": [], "clock": 1000, "others": 0}])
    lines = export(store(made), tmp_path / "out")
    written = Path(lines[-1].removeprefix("written: "))
    text = written.read_text()
    assert "secret-host" not in text
    assert "somebody" not in text
    assert "10:00" not in text
    assert "7654321" not in text
    assert "left out: environment.hostname" in lines
    assert verify_file(written, [root]) == []


def test_a_result_from_a_busy_board_is_not_shared(raw: dict[str, Any], device: Device, root: Path, tmp_path: Path) -> None:
    path = store(from_probe({**raw, "disturbed": True}, device, {}))
    with pytest.raises(UsageError, match="another process used the device"):
        export(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_import_takes_what_holds_and_refuses_the_rest(measurement: Measurement, root: Path, tmp_path: Path) -> None:
    shared = store(strip(measurement)[0], tmp_path / "theirs")
    assert import_(shared).is_relative_to(root)
    with pytest.raises(UsageError, match="already there"):
        import_(shared)
    bad = _rehashed(store(measurement, tmp_path / "bad"), _set("matrix", 0, "flops", to=1.0))
    with pytest.raises(UsageError, match=r"matrix\.bfloat16\.flops.*Nothing was written"):
        import_(bad)


def test_a_kernel_name_of_ones_own_is_cut_short(raw: dict[str, Any], root: Path) -> None:
    cpu = Device(kind="cpu", index=0, name="AMD EPYC", slug="amd-epyc-2c", cores=2, driver="6.18.44-company-v657")
    made, stripped = strip(from_probe(raw, cpu, {}))
    assert made.device["driver"] == made.environment["driver"] == "6.18.44"
    assert any("kernel" in line for line in stripped)


def test_diff_says_what_changed(raw: dict[str, Any], measurement: Measurement, device: Device) -> None:
    raw["environment"]["torch"] = "2.14.0+cu130"
    for sample in raw["matrix"][0]["samples"]:
        sample[1] /= 1.1
    lines = diff(measurement, from_probe(raw, device, {}))
    assert "bfloat16_flops: 7.5e+14 → 8.25e+14 (+10.0%)" in lines
    assert "environment.torch: 2.13.0+cu130 → 2.14.0+cu130" in lines


def test_the_index_has_a_roofline_from_the_measurement(measurement: Measurement, root: Path) -> None:
    store(measurement)
    (board,) = index([root])["boards"]
    assert board["roofline"]["source"] == "measured"
    assert round(board["roofline"]["ridge_flops_per_byte"]) == 179
    assert board["measurements"][0]["attention"] == {"64/causal": "sdpa_cudnn", "64/512": "flex_attention"}
