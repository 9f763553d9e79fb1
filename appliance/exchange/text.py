"""Files of others as numbered lines, whatever encoding they came in. Nothing is dropped silently."""

from dataclasses import dataclass

from appliance.errors import UsageError

MAX_BYTES = 64 << 20
_BOMS = ((b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"), (b"\xef\xbb\xbf", "utf-8"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One line, or one CR-separated piece of a progress line."""

    number: int
    """As an editor counts them, from 1; pieces of one line share it."""
    text: str
    """As it stands in the file, without its end."""


def lines_of(raw: bytes, name: str) -> tuple[list[Line], str]:
    """The lines of a file and the encoding they were read in.

    A byte-order mark decides; without one, many NUL bytes mean UTF-16, else UTF-8, else Latin-1 (which reads anything).

    Raises:
        UsageError: larger than any results file.
    """
    if len(raw) > MAX_BYTES:
        raise UsageError(f"{name} has {len(raw) >> 20} MiB; a results file or log has at most {MAX_BYTES >> 20}")
    encoding = _encoding(raw)
    text = raw.decode(encoding, errors="replace").lstrip("\ufeff").replace("\0", "")
    lines: list[Line] = []
    for number, line in enumerate(text.split("\n"), start=1):
        pieces = line.rstrip("\r").split("\r")
        lines += [Line(number=number, text=piece) for piece in pieces if piece]
    return lines, encoding


def _encoding(raw: bytes) -> str:
    for mark, encoding in _BOMS:
        if raw.startswith(mark):
            return encoding
    head = raw[:4096]
    if head.count(0) > len(head) // 4:
        return "utf-16-le" if head[1::2].count(0) >= head[::2].count(0) else "utf-16-be"
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8"
