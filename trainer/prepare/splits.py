"""Documents → train, val, test, by the hash of their text: the same text lands in the same split, whatever its file is called.

Exact duplicates are dropped. Where the corpus fits in memory, documents that share long passages (a message and its spoken version)
form one group, and the group goes where its smallest hash says, so that no passage is trained on in one document and scored in another.
"""

import hashlib
import zlib
from collections import defaultdict
from collections.abc import Iterable

import numpy as np

NAMES = ("train", "val", "test")
_RUN_WORDS = 12
_SHARED = 0.1
"""Two documents are related when this share of the smaller one's runs of 12 words stands in the other."""
_COMMON = 8
"""A run of words in more documents than this is a formula of the genre, not a copied passage."""


def digest(text: str) -> bytes:
    """SHA-256 of the text's UTF-8 bytes."""
    return hashlib.sha256(text.encode()).digest()


def choose(key: bytes, *, val: float, test: float) -> str:
    """Split of a document or group with this hash: its first 8 bytes as a fraction of 1."""
    position = int.from_bytes(key[:8]) / 2**64
    return "val" if position < val else "test" if position < val + test else "train"


def groups(texts: Iterable[str]) -> dict[bytes, bytes]:
    """Hash of each distinct document → hash that decides for its group (its own, where it stands alone)."""
    keys: list[bytes] = []
    sizes: list[int] = []
    holders: dict[int, list[int]] = defaultdict(list)
    seen: set[bytes] = set()
    for text in texts:
        key = digest(text)
        if key in seen:
            continue
        seen.add(key)
        runs = _runs(text)
        for run in runs:
            holders[run].append(len(keys))
        keys.append(key)
        sizes.append(len(runs))
    shared: dict[tuple[int, int], int] = defaultdict(int)
    for members in holders.values():
        if 1 < len(members) <= _COMMON:
            for at, first in enumerate(members):
                for second in members[at + 1 :]:
                    shared[first, second] += 1
    leader = list(range(len(keys)))

    def lead(index: int) -> int:
        while leader[index] != index:
            index = leader[index]
        return index

    for (first, second), count in sorted(shared.items()):
        if count >= _SHARED * min(sizes[first], sizes[second]):
            a, b = lead(first), lead(second)
            smaller, larger = (a, b) if keys[a] < keys[b] else (b, a)
            leader[larger] = smaller
    return {key: keys[lead(index)] for index, key in enumerate(keys)}


def _runs(text: str) -> list[int]:
    """Hashes of the distinct runs of 12 words, thinned to every fourth by the hash itself (alike in every document)."""
    words = np.array([zlib.crc32(word.encode()) for word in text.lower().split()], dtype=np.uint64)
    if len(words) < _RUN_WORDS:
        return []
    runs = np.zeros(len(words) - _RUN_WORDS + 1, dtype=np.uint64)
    for offset in range(_RUN_WORDS):
        runs = runs * np.uint64(0x9E3779B97F4A7C15) + words[offset : offset + len(runs)]
    mixed = runs ^ (runs >> np.uint64(29))
    return [int(run) for run in np.unique(mixed[mixed & np.uint64(3) == 0])]
