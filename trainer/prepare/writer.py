"""One split's folder: tokens, document starts and byte lengths, in every vocabulary.

`tokens-<V>.bin`        uint16, little endian: the documents one after another, each preceded by BOS
`documents-<V>.npy`     int64 [documents + 1]: where each document's BOS stands, and the end
`token_bytes-<V>.npy`   int32 [V]: raw bytes per id; BOS 0
`legacy_bytes-<V>.npy`  int32 [V]: as the field's usual metric counts them
`meta.json`             counts
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from vocabulary import BOS, Vocabulary

FORMAT_VERSION = 1


class SplitWriter:
    """Appends documents to a split's files; `close` writes the index and the counts."""

    def __init__(self, folder: Path, vocabularies: Mapping[int, Vocabulary]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._vocabularies = vocabularies
        self._files = {size: (folder / f"tokens-{size}.bin").open("wb") for size in vocabularies}
        self._starts = {size: [0] for size in vocabularies}
        self._bytes = 0

    def add(self, texts: Sequence[str]) -> None:
        """Append these documents in their order."""
        self._bytes += sum(len(text.encode()) for text in texts)
        bos = np.array([BOS], dtype="<u2").tobytes()
        for size, vocabulary in self._vocabularies.items():
            starts, file = self._starts[size], self._files[size]
            for ids in vocabulary.encode(texts):
                file.write(bos)
                file.write(ids.astype("<u2").tobytes())
                starts.append(starts[-1] + 1 + len(ids))

    def close(self) -> dict[str, Any]:
        """Finish the folder; the counts that stand in its meta.json."""
        meta: dict[str, Any] = {"format_version": FORMAT_VERSION, "documents": 0, "bytes": self._bytes, "vocabularies": {}}
        for size, vocabulary in self._vocabularies.items():
            self._files[size].close()
            starts = np.array(self._starts[size], dtype=np.int64)
            np.save(self._folder / f"documents-{size}.npy", starts)
            np.save(self._folder / f"token_bytes-{size}.npy", vocabulary.token_bytes())
            np.save(self._folder / f"legacy_bytes-{size}.npy", vocabulary.legacy_bytes())
            meta["documents"] = len(starts) - 1
            meta["vocabularies"][str(size)] = {"tokens": int(starts[-1])}
        (self._folder / "meta.json").write_text(json.dumps(meta, indent=1, sort_keys=True) + "\n")
        return meta
