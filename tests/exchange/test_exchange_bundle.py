"""Bundles: the same bytes for the same night, and nothing but a bundle is opened."""

import io
import tarfile
from pathlib import Path

import msgspec
import pytest
from exchange_nights import BASELINE, ESTIMATE, PAIRS, WINNER, digest, night, plan
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance import exchange
from appliance.errors import UsageError
from appliance.exchange.bundle import pack


@pytest.fixture(scope="module")
def task_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("task")
    (folder / "checks" / "__pycache__").mkdir(parents=True)
    (folder / "task.toml").write_text('name = "trainer"\n')
    (folder / "checks" / "artifact.py").write_text("print('ok')\n")
    (folder / "checks" / "__pycache__" / "artifact.pyc").write_bytes(b"cache")
    return folder


def write(path: Path, task_folder: Path) -> str:
    return exchange.write_bundle(
        path,
        plan=plan(task_source="/home/somebody/task", agent_options={"command": "/home/somebody/agent"}),
        confirmation=night().state.confirmation,
        winner_sha256=digest("winner"),
        winner=WINNER,
        baseline=BASELINE,
        task_folder=task_folder,
        image_lock={"requirements.txt": "numpy==2.4.6\n"},
        pairs=PAIRS,
    )


@pytest.fixture(scope="module")
def raw(task_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("bundle") / "night.tar"
    write(path, task_folder)
    return path.read_bytes()


def members(raw: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(raw)) as archive:
        files = {info.name: (archive.extractfile(info) or io.BytesIO()).read() for info in archive}
    files.pop("SHA256SUMS")
    return files


def refused(raw: bytes) -> str:
    with pytest.raises(UsageError) as caught:
        exchange.read_bundle(raw, "b.tar")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_same_night_gives_the_same_bytes(tmp_path: Path, task_folder: Path) -> None:
    assert write(tmp_path / "one.tar", task_folder) == write(tmp_path / "two.tar", task_folder)
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.tar", "two.tar"]


def test_what_went_in_comes_out(tmp_path: Path, task_folder: Path) -> None:
    sha256 = write(tmp_path / "night.tar", task_folder)
    bundle = exchange.open_bundle(tmp_path / "night.tar")
    assert bundle.sha256 == sha256
    assert (bundle.winner, bundle.baseline) == (WINNER, BASELINE)
    assert bundle.manifest.expected == ESTIMATE
    assert bundle.manifest.pairs == PAIRS
    assert set(bundle.task) == {"task.toml", "checks/artifact.py"}
    exchange.write_task(bundle, tmp_path / "task")
    assert (tmp_path / "task" / "checks" / "artifact.py").read_text() == "print('ok')\n"


def test_nothing_that_identifies_the_machine_is_in_it(raw: bytes) -> None:
    assert b"GPU-secret" not in raw
    assert b"/home/somebody" not in raw
    assert exchange.read_bundle(raw, "b.tar").plan.device.processes is None


def test_an_imported_night_cannot_be_bundled(tmp_path: Path, task_folder: Path) -> None:
    with pytest.raises(UsageError, match="is imported"):
        exchange.write_bundle(
            tmp_path / "x.tar",
            plan=plan(imported=True),
            confirmation=None,
            winner_sha256="",
            winner=WINNER,
            baseline=BASELINE,
            task_folder=task_folder,
            image_lock={},
            pairs=[],
        )


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_flipped_byte_anywhere_is_refused(raw: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(raw) - 1))
    changed = bytearray(raw)
    changed[at] ^= data.draw(st.integers(1, 255))
    refused(bytes(changed))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=3000))
def test_no_bytes_crash_it(junk: bytes) -> None:
    refused(junk)


def test_a_cut_or_lengthened_bundle_is_refused(raw: bytes) -> None:
    for changed in (raw[: len(raw) // 2], raw[:512], raw + b"\0" * 512, raw + b"x", b"", b"\x1f\x8b" + raw):
        refused(changed)


def test_a_changed_file_is_named(raw: bytes) -> None:
    assert b"DEPTH = 4\n" in raw
    assert "'winner/train.py'" in refused(raw.replace(b"DEPTH = 4\n", b"DEPTH = 3\n"))


@pytest.mark.parametrize(
    "name",
    ["../evil", "/etc/cron.d/evil", "winner/../../evil", "other/file", "winner\\evil", "winner/./x", "winner//x", "winner/\x01", "winner"],
)
def test_a_path_outside_the_four_folders_is_refused(raw: bytes, name: str) -> None:
    assert "it names" in refused(pack({**members(raw), name: b"x"}))


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE, tarfile.GNUTYPE_SPARSE, tarfile.CONTTYPE]
)
def test_links_devices_folders_and_sparse_members_are_refused(raw: bytes, kind: bytes) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        info = tarfile.TarInfo("winner/train.py")
        info.type, info.linkname = kind, "/etc/passwd"
        archive.addfile(info)
    refused(out.getvalue())


def test_extended_headers_are_refused(raw: bytes) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in members(raw).items():
            info = tarfile.TarInfo(name)
            info.size, info.pax_headers = len(content), {"comment": "hidden"}
            archive.addfile(info, io.BytesIO(content))
    refused(out.getvalue())


def test_a_member_that_claims_a_terabyte_is_refused_without_reading_it() -> None:
    info = tarfile.TarInfo("winner/train.py")
    info.size = 1 << 40
    refused(info.tobuf(tarfile.GNU_FORMAT) + b"\0" * 10240)


def test_a_compressed_archive_is_not_a_bundle(raw: bytes) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        info = tarfile.TarInfo("winner/zeros")
        info.size = 50_000_000
        archive.addfile(info, io.BytesIO(bytes(info.size)))
    assert "is not a bundle" in refused(out.getvalue())


def test_a_file_that_is_a_folder_too_is_refused(raw: bytes) -> None:
    assert "is a file and a folder" in refused(pack({**members(raw), "task/checks": b"x"}))


def test_a_missing_part_is_said(raw: bytes) -> None:
    for name in ("manifest.json", "plan.json", "winner/train.py", "baseline/train.py"):
        files = members(raw)
        del files[name]
        assert "is not a bundle" in refused(pack(files))


def test_a_manifest_that_disagrees_with_its_plan_is_refused(raw: bytes) -> None:
    files = members(raw)
    manifest = msgspec.json.decode(files["manifest.json"], type=exchange.BundleManifest)
    changed = msgspec.structs.replace(manifest, baseline_sha256=digest("other"))
    assert "disagree about baseline_sha256" in refused(pack({**files, "manifest.json": msgspec.json.encode(changed)}))


def test_pairs_that_do_not_make_the_declared_difference_are_refused(raw: bytes, tmp_path: Path, task_folder: Path) -> None:
    files = members(raw)
    manifest = msgspec.json.decode(files["manifest.json"], type=exchange.BundleManifest)
    better = [msgspec.structs.replace(pair, winner=0.5) for pair in manifest.pairs]
    for pairs, what in ((better, "the difference"), (better[:2], "the number of pairs"), ([], "the number of pairs")):
        changed = msgspec.structs.replace(manifest, pairs=pairs)
        assert f"disagree about {what}" in refused(pack({**files, "manifest.json": msgspec.json.encode(changed)}))


@pytest.mark.parametrize("name", ["a night\x1b[2J", "", "../night", "n" * 200])
def test_a_name_that_could_write_to_a_terminal_is_refused(raw: bytes, name: str) -> None:
    files = members(raw)
    manifest = msgspec.json.decode(files["manifest.json"], type=exchange.BundleManifest)
    changed = msgspec.structs.replace(manifest, night_id=name)
    assert "is not a bundle of this version" in refused(pack({**files, "manifest.json": msgspec.json.encode(changed)}))


def test_a_folder_that_is_not_there_is_one_line_and_leaves_nothing(tmp_path: Path, task_folder: Path) -> None:
    with pytest.raises(UsageError, match="cannot be written"):
        write(tmp_path / "none" / "b.tar", task_folder)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b"[" * 5000, b'{"format_version": "x"}', b"\xff"])
def test_a_manifest_that_is_none_is_refused(raw: bytes, text: bytes) -> None:
    assert "is not a bundle" in refused(pack({**members(raw), "manifest.json": text}))


def test_a_newer_bundle_says_upgrade(raw: bytes) -> None:
    assert "upgrade to open it" in refused(pack({**members(raw), "manifest.json": b'{"format_version": 99}'}))


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none.tar cannot be read"):
        exchange.open_bundle(tmp_path / "none.tar")
