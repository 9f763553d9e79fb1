"""One split, read whole into memory before anything of the artifact is looked at, and closed.

What is scored is fixed here and by nobody else: the first tokens of the stream that make up `evaluation_bytes` raw bytes, cut into
windows of the graph's length that do not overlap. BOS carries no bytes: its cost is not counted, but it is there as context.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

FORMAT_VERSION = 1
BOS = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Stream:
    """The scored part of a split in one vocabulary."""

    vocabulary: int
    tokens: np.ndarray
    """int64 [N + 1]: each of the last N is predicted from those before it."""
    token_bytes: np.ndarray
    """int32 [V], raw UTF-8 bytes per token; BOS 0."""
    legacy_bytes: np.ndarray
    """int32 [V], bytes of the token decoded alone, broken sequences as U+FFFD."""
    documents: np.ndarray
    """int64: where each document of the part begins."""
    scored: np.ndarray
    """bool [N]: whether the prediction counts."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Windows:
    """The stream as the graph will see it. W windows of T tokens; what does not count has 0 bytes."""

    inputs: np.ndarray
    """int64 [W, T]."""
    targets: np.ndarray
    """int64 [W, T]."""
    scored: np.ndarray
    """bool [W, T]."""
    document: np.ndarray
    """int64 [W, T]: index of the document that the target belongs to."""


def read(folder: Path, evaluation_bytes: int) -> dict[int, Stream]:
    """Read every vocabulary of a split, as far as it will be scored. Vocabulary size → stream."""
    meta = json.loads((folder / "meta.json").read_text())
    if meta.get("format_version") != FORMAT_VERSION:
        raise ValueError(f"the split has format_version {meta.get('format_version')}, this evaluator knows {FORMAT_VERSION}")
    return {int(size): _read(folder, int(size), evaluation_bytes) for size in meta["vocabularies"]}


def _read(folder: Path, size: int, evaluation_bytes: int) -> Stream:
    token_bytes = np.load(folder / f"token_bytes-{size}.npy", allow_pickle=False)
    legacy_bytes = np.load(folder / f"legacy_bytes-{size}.npy", allow_pickle=False)
    starts = np.load(folder / f"documents-{size}.npy", allow_pickle=False)
    if token_bytes.shape != (size,) or legacy_bytes.shape != (size,) or token_bytes[BOS] != 0:
        raise ValueError(f"the byte tables of vocabulary {size} are not a table of {size} with BOS first")
    with (folder / f"tokens-{size}.bin").open("rb") as file:
        tokens = np.fromfile(file, dtype="<u2", count=evaluation_bytes + int(np.searchsorted(starts, evaluation_bytes)) + 4096).astype(
            np.int64
        )
    spent = np.cumsum(token_bytes[tokens[1:]], dtype=np.int64)
    end = int(np.searchsorted(spent, evaluation_bytes, side="right"))
    tokens = tokens[: end + 1]
    scored = token_bytes[tokens[1:]] > 0
    return Stream(
        vocabulary=size, tokens=tokens, token_bytes=token_bytes, legacy_bytes=legacy_bytes, documents=starts[starts <= end], scored=scored
    )


def windows(stream: Stream, length: int) -> Windows:
    """Cut a stream into windows of `length` tokens; the last one is filled up with BOS that does not count."""
    count = len(stream.tokens) - 1
    rows = max(1, -(-count // length))

    def cut(values: np.ndarray, filler: int) -> np.ndarray:
        padded = np.full(rows * length, filler, dtype=values.dtype)
        padded[:count] = values
        return padded.reshape(rows, length)

    document = np.searchsorted(stream.documents, np.arange(1, count + 1), side="right") - 1
    return Windows(
        inputs=cut(stream.tokens[:-1], BOS), targets=cut(stream.tokens[1:], BOS), scored=cut(stream.scored, 0), document=cut(document, 0)
    )
