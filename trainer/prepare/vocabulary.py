"""Byte-level BPE in several sizes out of one training: the smaller vocabularies are the first merges of the largest.

Ids mean the same in every size: 0 to 255 are raw bytes (0 doubles as BOS, because the text holds no NUL), 256 and up are merges in the
order they were learned. A vocabulary of 256 is the bytes themselves and needs no tokenizer.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

BOS = 0
PATTERN = r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,2}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"
"""Words keep their leading space, numbers split after two digits, line breaks stand alone: the split the field's GPTs use."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Vocabulary:
    """One size of vocabulary."""

    size: int
    tokens: tuple[bytes, ...]
    """Raw bytes of each id; BOS is empty."""
    tokenizer: Tokenizer | None
    """None for 256."""

    def encode(self, texts: Sequence[str]) -> list[npt.NDArray[np.uint16]]:
        """Ids of each text, without BOS.

        Raises:
            ValueError: decoding the ids does not give the text back.
        """
        if self.tokenizer is None:
            return [np.frombuffer(text.encode(), dtype=np.uint8).astype(np.uint16) for text in texts]
        encoded = [np.array(item.ids, dtype=np.uint16) for item in self.tokenizer.encode_batch_fast(list(texts))]
        for text, ids in zip(texts, encoded, strict=True):
            if b"".join([self.tokens[id_] for id_ in ids.tolist()]) != text.encode():
                raise ValueError(f"a document does not survive the vocabulary of {self.size}: {text[:40]!r}")
        return encoded

    def token_bytes(self) -> npt.NDArray[np.int32]:
        """Raw bytes that each id stands for, int32 [size]; BOS 0."""
        return np.array([len(token) for token in self.tokens], dtype=np.int32)

    def legacy_bytes(self) -> npt.NDArray[np.int32]:
        """The same as the field's usual metric counts them, int32 [size]: each id decoded alone, a broken sequence as U+FFFD of 3 bytes."""
        return np.array([len(token.decode("utf-8", errors="replace").encode()) for token in self.tokens], dtype=np.int32)


def learn(texts: Sequence[str], sizes: Sequence[int]) -> dict[int, Vocabulary]:
    """Vocabularies of the given sizes, learned from `texts`.

    Raises:
        ValueError: a size outside 256..65536, or a corpus too small for the largest one.
    """
    if not sizes or min(sizes) < 256 or max(sizes) > 65536:
        raise ValueError(f"vocabulary sizes must lie in 256..65536, not {list(sizes)}")
    single = (b"", *(bytes([byte]) for byte in range(1, 256)))
    symbols = _byte_symbols()
    merges = _merges(texts, max(sizes), set(symbols)) if max(sizes) > 256 else []
    tokens = [*single, *(bytes(symbols[character] for character in left + right) for left, right in merges)]
    result: dict[int, Vocabulary] = {}
    for size in sorted(set(sizes)):
        if size == 256:
            result[size] = Vocabulary(size=size, tokens=single, tokenizer=None)
            continue
        ids = symbols | {left + right: 256 + at for at, (left, right) in enumerate(merges[: size - 256])}
        tokenizer = Tokenizer(models.BPE(vocab=ids, merges=merges[: size - 256]))
        tokenizer.pre_tokenizer = _splitter()
        result[size] = Vocabulary(size=size, tokens=tuple(tokens[:size]), tokenizer=tokenizer)
    return result


def _splitter() -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(PATTERN), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )


def _byte_symbols() -> dict[str, int]:
    """The library's character for each byte (GPT-2's table: printable bytes stand for themselves, the others are shifted past 255)."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    shifted = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + at): byte for at, byte in enumerate(shifted)}


def _merges(texts: Sequence[str], size: int, alphabet: set[str]) -> list[tuple[str, str]]:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = _splitter()
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=sorted(alphabet), show_progress=False, special_tokens=[])
    tokenizer.train_from_iterator(texts, trainer)
    merges = [(left, right) for left, right in json.loads(tokenizer.to_str())["model"]["merges"]]
    if len({left + right for left, right in merges}) != size - 256:
        raise ValueError(f"the training text gives {len(merges) + 256} tokens, not {size}: choose smaller vocabularies or more text")
    return merges
