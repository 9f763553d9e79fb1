"""What the scripted model of `bench/claude.py` answers: the moves of someone who tunes the trainer well, and more than thirty ways to fail.

It reads the present file from the prompt as a model would: the whole text at a conversation's beginning, then the diffs of what was kept.
"""

import random
import re
from collections.abc import Callable, Mapping
from typing import Any

from messages_server import Reply

_ASSIGNMENT = re.compile(r"^(\+?)([A-Z][A-Z0-9_]+) = (.+?)(  #.*)?$", re.MULTILINE)


class Model:
    """Answers by the number of the call; every kind comes, good ones most often."""

    def __init__(self, seed: int, latency_s: tuple[float, float], trouble: bool = True) -> None:
        self._rng, self._latency, self._trouble = random.Random(seed), latency_s, trouble
        self._order: list[str] = []

    def __call__(self, request: Mapping[str, Any], number: int) -> Reply:
        """The reply to one call."""
        if not self._order:
            bad = [name for name in BAD if self._trouble]
            self._order = bad + [self._rng.choice(list(GOOD)) for _ in range(len(BAD))]
            self._rng.shuffle(self._order)
        name = self._order.pop()
        lines = present(request)
        reply = (GOOD | BAD)[name](lines, random.Random(number))
        latency = 0.0 if reply.status != 200 else self._rng.uniform(*self._latency)
        return Reply(**{**vars(reply), "latency_s": latency, "kind": name, "thinking_tokens": self._rng.randrange(300, 1500)})


def present(request: Mapping[str, Any]) -> dict[str, str]:
    """Constant → its line in the incumbent."""
    lines: dict[str, str] = {}
    for n, message in enumerate(m for m in request["messages"] if m["role"] == "user"):
        text = "\n".join(block["text"] for block in message["content"])
        if n == 0:
            text = text.split("## The incumbent", 1)[-1].split("`````", 2)[1]
            lines = {m[2]: m[0] for m in _ASSIGNMENT.finditer(text)}
            continue
        for diff in text.split("What it changed:")[1:]:
            for found in _ASSIGNMENT.finditer(diff.split("\nThe incumbent is #")[0]):
                if found[1] and found[2] in lines:
                    lines[found[2]] = found[0][1:]
    return lines


def value(line: str) -> float:
    """Of an assignment."""
    return float(line.split("=", 1)[1].split("#")[0])


def answer(blocks: Mapping[str, str], *, why: str = "fewer bytes move per step", predicted: str = "-0.02", file: str = " train.py") -> str:
    """Well-formed: old line → new line."""
    parts = [f"<<<<<<< SEARCH{file}\n{old}\n=======\n{new}\n>>>>>>> REPLACE" for old, new in blocks.items()]
    return "\n".join([f"HYPOTHESIS: {why}", f"PREDICTED: {predicted}", *parts])


def _scaled(name: str, factor: float, *, whole: bool = True, low: float = 0.0, high: float = 1e9, grid: int = 1) -> Callable[..., Reply]:
    def reply(lines: Mapping[str, str], rng: random.Random) -> Reply:
        old = lines[name]
        new = min(high, max(low, value(old) * factor * rng.uniform(0.9, 1.1)))
        literal = str(max(grid, round(new / grid) * grid)) if whole else f"{new:.3g}"
        comment = old[old.index("#") :] if "#" in old else ""
        return Reply(text=answer({old: f"{name} = {literal}  {comment}".rstrip()}))

    return reply


def _text(make: Callable[[Mapping[str, str]], str], **fields: Any) -> Callable[..., Reply]:
    return lambda lines, _rng: Reply(text=make(lines), **fields)


def _fixed(**fields: Any) -> Callable[..., Reply]:
    return lambda _lines, _rng: Reply(**fields)


def _nudged(lines: Mapping[str, str], rng: random.Random, name: str = "WEIGHT_DECAY") -> dict[str, str]:
    return {lines[name]: f"{name} = {rng.uniform(0.01, 0.3):.4g}"}


GOOD: dict[str, Callable[..., Reply]] = {
    "halve_depth": _scaled("DEPTH", 0.5, low=1),
    "halve_width": _scaled("WIDTH", 0.6, low=64, grid=32),
    "widen": _scaled("WIDTH", 1.5, high=512, grid=32),
    "halve_batch": _scaled("BATCH_TOKENS", 0.5, low=512, grid=256),
    "double_batch": _scaled("BATCH_TOKENS", 2.0, high=16384, grid=256),
    "raise_matrix_rate": _scaled("MATRIX_LR", 1.5, whole=False, high=0.1),
    "lower_embedding_rate": _scaled("EMBED_LR", 0.6, whole=False, low=0.01),
    "raise_head_rate": _scaled("HEAD_LR", 1.5, whole=False, high=0.05),
    "longer_warmdown": _scaled("WARMDOWN_SHARE", 1.2, whole=False, high=1.0),
    "in_chinese": lambda lines, rng: Reply(text=answer(_nudged(lines, rng), why="权重衰减更小,小模型在这台机器上学得更快")),
    "in_russian_and_fenced": lambda lines, rng: Reply(text="Вот правка.\n```\n" + answer(_nudged(lines, rng), file="") + "\n```\nГотово."),
    "two_blocks": lambda lines, rng: Reply(text=answer(_nudged(lines, rng) | _nudged(lines, rng, "MOMENTUM"))),
    "crlf": lambda lines, rng: Reply(text=answer(_nudged(lines, rng)).replace("\n", "\r\n")),
    "minus_sign_and_bold": lambda lines, rng: Reply(text=answer(_nudged(lines, rng)).replace("PREDICTED: -0.02", "**PREDICTED:** −0.01")),
}

BAD: dict[str, Callable[..., Reply]] = {
    # malformed
    "no_blocks": _fixed(text="I suggest halving the width."),
    "empty": _fixed(text=""),
    "declined": _fixed(text="I cannot help with that.", stop_reason="refusal"),
    "no_divider": _text(lambda lines: f"<<<<<<< SEARCH\n{lines['DEPTH']}\n>>>>>>> REPLACE"),
    "no_end": _text(lambda lines: f"<<<<<<< SEARCH\n{lines['DEPTH']}\n=======\nDEPTH = 2"),
    "stray_marker": _text(lambda lines: answer({lines["DEPTH"]: "DEPTH = 2"}) + "\n>>>>>>> REPLACE"),
    "empty_search": _fixed(text=answer({"": "DEPTH = 2"})),
    "overlapping": _text(lambda lines: answer({lines["DEPTH"]: "DEPTH = 2"}) + "\n" + answer({lines["DEPTH"]: "DEPTH = 3"})),
    "many_matches": _fixed(text=answer({"": ""}).replace("SEARCH train.py\n\n", "SEARCH train.py\n        super().__init__()\n")),
    "cut_by_length": _text(lambda lines: answer({lines["DEPTH"]: "DEPTH = 2\n" + "# padding\n" * 20_000})),
    "blocks_and_file": _text(lambda lines: answer({lines["DEPTH"]: "DEPTH = 2"}) + "\n<<<<<<< FILE train.py\nx = 1\n>>>>>>> FILE"),
    "code_in_json": _fixed(text='{"edits": [{"file": "train.py", "old": "DEPTH = 6", "new": "DEPTH = 3"}]}'),
    # stale
    "stale_line": _fixed(text=answer({"DEPTH = 48  # layers": "DEPTH = 24  # layers"})),
    "invented_function": _fixed(text=answer({"def make_optimizer(model):": "def make_optimizer(model, lr):"})),
    # refused before they run
    "unchanged": _text(lambda lines: answer({lines["DEPTH"]: lines["DEPTH"] + " "})),
    "only_a_comment": _text(lambda lines: answer({lines["DEPTH"]: lines["DEPTH"] + " (of them)"})),
    "only_a_seed": _text(lambda lines: answer({lines["DEPTH"]: lines["DEPTH"] + "\nSEED = 1337"})),
    "syntax_error": _text(lambda lines: answer({lines["DEPTH"]: "DEPTH = (3"})),
    "duplicate": _text(lambda lines: answer({lines["LOGIT_CAP"]: "LOGIT_CAP = 12.0"})),
    "embedded_data": _text(lambda lines: answer({lines["DEPTH"]: lines["DEPTH"] + f"\nWEIGHTS = '{'0f' * 3000}'"})),
    # malicious
    "foreign_file": _text(lambda lines: answer({lines["DEPTH"]: "DEPTH = 2"}, file=" ../evaluator/__main__.py")),
    "foreign_whole_file": _fixed(text="<<<<<<< FILE /etc/cron.d/night\n* * * * * root true\n>>>>>>> FILE"),
    "reads_the_environment": _text(
        lambda lines: answer({lines["DEPTH"]: lines["DEPTH"] + '\nprint("ANTHROPIC_API_KEY", __import__("os").environ)'})
    ),
    "crashes": _text(lambda lines: answer({lines["DEPTH"]: "DEPTH = 0  # crashes"})),
    # trouble
    "rate_limit_told": _fixed(status=429, error_type="rate_limit_error", message="limit", headers={"retry-after": "30"}),
    "rate_limit": _fixed(status=429, error_type="rate_limit_error", message="limit"),
    "server_error": _fixed(status=500, message="internal"),
    "overloaded": _fixed(status=529, error_type="overloaded_error", message="overloaded"),
    "bad_gateway": _fixed(status=502, body=b"<html>502</html>"),
    "too_large": _fixed(status=413, error_type="request_too_large", message="too large"),
    "cut_stream": _text(lambda lines: answer({lines["DEPTH"]: "DEPTH = 2"}), cut_after=60),
    "overloaded_in_the_middle": _text(lambda lines: answer({lines["DEPTH"]: "DEPTH = 2"}), error_event="overloaded_error"),
    "silence": _fixed(hang_s=30.0),
}
