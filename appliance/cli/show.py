"""Printing: records as JSON for programs, rows as aligned text for people."""

from collections.abc import Iterable, Sequence

import click


def as_json(value: object) -> None:
    """One JSON document on stdout; NaN cannot occur, None is null."""
    import msgspec

    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Left-aligned columns; None is a dash."""
    text = [list(header), *(["–" if cell is None else str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[i]) for row in text) for i in range(len(header))]
    for row in text:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
