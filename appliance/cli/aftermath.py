"""`confirm` and `attribute`: what can still be asked of a night when it is over."""

from __future__ import annotations  # records cost more than `--help` may

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from appliance.cli.options import Hours, folder_of, json_option, night_argument
from appliance.cli.progress import terminal

if TYPE_CHECKING:
    from appliance.workflows.opening import Aftermath

_sandbox_option = click.option(
    "--sandbox", type=click.Choice(["docker", "process"]), help="Default: the night's own; its runs compare with no other's."
)


@click.command()
@night_argument
@click.option("--pairs", type=click.IntRange(1, 64), default=4, show_default=True, help="Fresh pairs on each corpus.")
@_sandbox_option
@json_option
def confirm(night: str | None, nights: Path | None, pairs: int, sandbox: str | None, as_json: bool) -> int:
    """Confirm a night's winner with more pairs of baseline and winner, on fresh seeds; the latest night without NIGHT.

    They join the pairs that were run before: none is ever left out. Ctrl-C keeps whole pairs, writes the page and exits 130.

    \b
    appliance confirm 20260101-2200 --pairs 8
    """  # noqa: D301 - click wants the control character
    from appliance.workflows import confirm as workflow

    return told(workflow.confirm(folder_of(night, nights), pairs, sandbox, terminal()), "confirmation", as_json=as_json)  # type: ignore[arg-type]


@click.command()
@night_argument
@click.option("--hours", type=Hours(), required=True, help="Clock of the attribution; it ends there.")
@_sandbox_option
@json_option
def attribute(night: str | None, nights: Path | None, hours: float, sandbox: str | None, as_json: bool) -> int:
    """Find out which kept changes carry the winner's gain: each is taken out in turn; the latest night without NIGHT.

    Again goes on where the last one stopped. Ctrl-C keeps every run that is done, writes the page and exits 130.

    \b
    appliance attribute 20260101-2200 --hours 2
    """  # noqa: D301 - click wants the control character
    from appliance.workflows import attribute as workflow

    return told(workflow.attribute(folder_of(night, nights), hours, sandbox, terminal()), "attribution", as_json=as_json)  # type: ignore[arg-type]


def told(done: Aftermath, what: Literal["confirmation", "attribution"], *, as_json: bool) -> int:
    """Print what became of it; the exit code."""
    from appliance.cli import show as printing

    if as_json:
        head = {"night": done.folder.name, "folder": str(done.folder), "page": str(done.page), "interrupted": done.interrupted}
        printing.as_json({**head, what: getattr(done.state, what)})
    else:
        (_confirmation if what == "confirmation" else _attribution)(done)
        click.echo(f"the page: {done.page}")
    return 130 if done.interrupted else 0


def _confirmation(done: Aftermath) -> None:
    from appliance.cli import show as printing

    found = done.state.confirmation
    assert found is not None
    click.echo(f"{found.status.replace('_', ' ')}{f': {found.reason}' if found.reason else ''}")
    rows = [(e.split, e.pairs, f"{e.difference:+.5f}", f"{e.interval_low:+.5f} to {e.interval_high:+.5f}") for e in found.estimates]
    printing.table(("split", "pairs", "winner minus baseline", "95 % interval"), rows)


def _attribution(done: Aftermath) -> None:
    from appliance.cli import show as printing

    rows = []
    for row in done.state.attribution:
        loss = span = share = None
        if row["loss"] is not None:
            loss, span = f"{row['loss']:+.5f}", f"{row['interval_low']:+.5f} to {row['interval_high']:+.5f}"
            share = f"{row['share']:.0%}" if row["share"] is not None else None
        reading = ": ".join(filter(None, (row["reading"], row["note"])))
        rows.append((row["experiment"], row["runs"], loss, span, share, reading, row["change"][:60]))
    printing.table(("change", "runs", "loss without it", "95 % interval", "share", "reading", ""), rows)


COMMANDS = (confirm, attribute)
