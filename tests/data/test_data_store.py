"""Prepared splits: made once, found again, never half there."""

import os
import threading
from pathlib import Path

import pytest

from appliance import data
from appliance.errors import ApplianceError, UsageError

KEY = data.key_of(task="gpt", dataset="speeches", sources={"speeches": "a" * 64}, code="b" * 64, params={"vocabularies": [256]})


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("APPLIANCE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def make(out: Path) -> None:
    for split in ("train", "val"):
        (out / split).mkdir()
        (out / split / "tokens.bin").write_bytes(split.encode() * 100)
    (out / "meta.json").write_text("{}")


def test_preparing_twice_makes_once() -> None:
    calls: list[Path] = []

    def counted(out: Path) -> None:
        calls.append(out)
        make(out)

    first = data.prepared("gpt", "speeches", KEY, counted)
    assert data.prepared("gpt", "speeches", KEY, counted) == first
    assert len(calls) == 1
    assert set(data.splits(first.folder)) == {"train", "val"} == set(first.splits)


def test_equal_bytes_have_equal_digests_and_splits_have_their_own(tmp_path: Path) -> None:
    first = data.prepared("gpt", "speeches", KEY, make)
    second = data.prepared("other", "speeches", "c" * 64, make)
    assert first.sha256 == second.sha256
    assert first.splits == second.splits
    assert first.splits["train"] != first.splits["val"]


def test_everything_it_was_made_from_is_in_the_key() -> None:
    base = {"task": "gpt", "dataset": "d", "sources": {"d": "1"}, "code": "2", "params": {"v": [256]}}
    changed = [{"task": "x"}, {"dataset": "x"}, {"sources": {"d": "x"}}, {"code": "x"}, {"params": {"v": [1024]}}]
    assert len({data.key_of(**{**base, **change}) for change in [{}, *changed]}) == 6  # type: ignore[arg-type]


def test_a_prepare_that_fails_leaves_nothing_behind(cache: Path) -> None:
    def fails(out: Path) -> None:
        make(out)
        raise ApplianceError("out of memory")

    with pytest.raises(ApplianceError, match="out of memory"):
        data.prepared("gpt", "speeches", KEY, fails)
    assert data.find("gpt", "speeches", KEY) is None
    assert [path.suffix for path in (cache / "prepared").iterdir()] == [".lock"]


@pytest.mark.parametrize("damage", [b"", b"other bytes of any length", b"VAL" * 100])
def test_a_folder_that_changed_since_is_made_again(damage: bytes) -> None:
    before = data.prepared("gpt", "speeches", KEY, make)
    (before.folder / "val" / "tokens.bin").write_bytes(damage)
    assert data.find("gpt", "speeches", KEY) is None
    assert data.prepared("gpt", "speeches", KEY, make).sha256 == before.sha256


def test_a_copy_with_other_times_is_still_found() -> None:
    before = data.prepared("gpt", "speeches", KEY, make)
    os.utime(before.folder / "val" / "tokens.bin", (1, 1))
    assert data.find("gpt", "speeches", KEY) == before


def test_links_in_what_a_sandbox_left_are_refused() -> None:
    def links(out: Path) -> None:
        make(out)
        (out / "train" / "link").symlink_to("/etc/passwd")

    with pytest.raises(ApplianceError, match="train/link is neither a file nor a folder"):
        data.prepared("gpt", "speeches", KEY, links)


def test_a_prepare_that_wrote_no_split_is_refused() -> None:
    with pytest.raises(ApplianceError, match="left no split"):
        data.prepared("gpt", "speeches", KEY, lambda out: None)


def test_two_at_once_prepare_once() -> None:
    calls: list[Path] = []
    entered, release = threading.Event(), threading.Event()

    def slow(out: Path) -> None:
        calls.append(out)
        entered.set()
        release.wait(10)
        make(out)

    threads = [threading.Thread(target=data.prepared, args=("gpt", "speeches", KEY, slow)) for _ in range(2)]
    threads[0].start()
    entered.wait(10)
    threads[1].start()
    release.set()
    for thread in threads:
        thread.join()
    assert len(calls) == 1


def test_a_newer_format_is_refused_with_the_mend() -> None:
    folder = data.prepared("gpt", "speeches", KEY, make).folder
    manifest = folder / "prepared.json"
    manifest.write_text(manifest.read_text().replace('"format_version": 1', '"format_version": 99'))
    with pytest.raises(UsageError, match=r"newer version .* upgrade"):
        data.find("gpt", "speeches", KEY)


def test_the_code_digest_ignores_caches_and_sees_every_change(tmp_path: Path) -> None:
    package = tmp_path / "prepare"
    (package / "__pycache__").mkdir(parents=True)
    (package / "__main__.py").write_text("one")
    before = data.code_digest([package])
    (package / "__pycache__" / "x.pyc").write_text("cache")
    assert data.code_digest([package]) == before
    (package / "__main__.py").write_text("two")
    assert data.code_digest([package]) != before
