"""Raw text → tokenised splits; runs once per dataset, in the sandbox, by the protocol's `prepare`.

Reads `$APPLIANCE_RAW/<dataset>/` and APPLIANCE_PARAMS: `{"dataset": name, "transfer": name | null, "vocabularies": [256, …],
"forms": {name: {…}}}`; the last two may be missing (all four sizes; the shipped forms of `documents`). Writes
`$APPLIANCE_OUT/{train,val,test,transfer}/` and `meta.json`. The second corpus's test documents, in this dataset's vocabularies, are
`transfer`. The same input gives the same bytes. Two passes over the raw text, so that a corpus need not fit in memory.
"""

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))  # `python -P` leaves it out

import documents
import splits
import vocabulary
from writer import SplitWriter

FORMAT_VERSION = 1
VOCABULARIES = (256, 1024, 2048, 8192)
LEARN_BYTES = 64 * 2**20
"""The vocabulary is learned from at most this much of train, in the order of the files."""
BATCH_BYTES = 4 * 2**20
"""Text tokenised at a time."""


def main() -> None:
    """Prepare what APPLIANCE_PARAMS names."""
    raw, out = Path(os.environ["APPLIANCE_RAW"]), Path(os.environ["APPLIANCE_OUT"])
    params = json.loads(os.environ["APPLIANCE_PARAMS"])
    try:
        prepare(raw, out, params)
    except ValueError as error:
        sys.exit(f"prepare: {error}")
    if nonce := os.environ.get("APPLIANCE_NONCE"):
        print(f"::appliance {nonce} done", flush=True)


def prepare(raw: Path, out: Path, params: dict[str, Any]) -> None:
    """Write the splits of `params["dataset"]` below `out`."""
    dataset, transfer = params["dataset"], params.get("transfer")
    sizes = [int(size) for size in params.get("vocabularies", VOCABULARIES)]
    forms = {name: documents.form_of(name, params.get("forms", {}).get(name)) for name in (dataset, transfer) if name}

    groups = {name: splits.groups(documents.read(raw / name, form)) if form.related else {} for name, form in forms.items()}

    def assigned(name: str) -> Iterator[tuple[str, str]]:
        return assign(documents.read(raw / name, forms[name]), groups[name], forms[name])

    sample: list[str] = []
    sampled = 0
    for split, text in assigned(dataset):
        if split == "train" and sampled < LEARN_BYTES:
            sample.append(text)
            sampled += len(text.encode())
    vocabularies = vocabulary.learn(sample, sizes)
    print(f"{dataset}: vocabularies {', '.join(map(str, vocabularies))} learned from {sampled:,} bytes of train", flush=True)
    del sample

    writers = {name: SplitWriter(out / name, vocabularies) for name in splits.NAMES}
    for split, texts in batches(assigned(dataset)):
        writers[split].add(texts)
    if transfer:
        writers["transfer"] = SplitWriter(out / "transfer", vocabularies)
        for split, texts in batches(assigned(transfer)):
            if split == "test":
                writers["transfer"].add(texts)
    counts = {name: writer.close() for name, writer in writers.items()}
    for name, count in counts.items():
        print(f"{dataset}: {name} {count['documents']:,} documents, {count['bytes']:,} bytes", flush=True)
        if not count["documents"]:
            raise ValueError(f"split {name} is empty: {dataset} has too few documents for its shares")
    meta = {
        "format_version": FORMAT_VERSION,
        "dataset": dataset,
        "transfer": transfer,
        "forms": {name: asdict(form) for name, form in forms.items()},
        "vocabulary_learned_from_bytes": sampled,
        "vocabularies": sizes,
        "splits": counts,
    }
    largest = vocabularies[max(vocabularies)]
    (out / "vocabulary.json").write_text(
        json.dumps({"pattern": vocabulary.PATTERN, "tokens_hex": [token.hex() for token in largest.tokens]})
    )
    (out / "meta.json").write_text(json.dumps(meta, indent=1, sort_keys=True) + "\n")


def assign(texts: Iterable[str], groups: Mapping[bytes, bytes], form: documents.Form) -> Iterator[tuple[str, str]]:
    """(split, text) of every distinct document, in the order of the files."""
    seen: set[bytes] = set()
    for text in texts:
        key = splits.digest(text)
        if key in seen:
            continue
        seen.add(key)
        yield splits.choose(groups.get(key, key), val=form.val, test=form.test), text


def batches(items: Iterator[tuple[str, str]]) -> Iterator[tuple[str, list[str]]]:
    """The same documents, a few megabytes of one split at a time; order within a split stays."""
    waiting: dict[str, list[str]] = {}
    size: dict[str, int] = {}
    for split, text in items:
        waiting.setdefault(split, []).append(text)
        size[split] = size.get(split, 0) + len(text)
        if size[split] >= BATCH_BYTES:
            yield split, waiting.pop(split)
            size[split] = 0
    yield from waiting.items()


if __name__ == "__main__":
    main()
