"""What looks after a night: `status`, `stop`, `ledger`."""

from pathlib import Path

import click

from appliance.cli.options import folder_of, json_option, night_argument, nights_option


@click.command()
@night_argument
@json_option
def status(night: str | None, nights: Path | None, as_json: bool) -> None:
    """Where a night stands: phase, clock, experiments, best so far."""
    from appliance.cli import show as printing
    from appliance.workflows import status as workflow

    state = workflow.status(folder_of(night, nights))
    if as_json:
        printing.as_json(state)
    else:
        for name, value in state.items():
            click.echo(f"{name.replace('_', ' '):<18} {'–' if value is None else value}")


@click.command()
@night_argument
def stop(night: str | None, nights: Path | None) -> None:
    """End a running night as Ctrl-C would: the running experiment ends, the page is written."""
    from appliance.workflows import status as workflow

    click.echo(workflow.stop(folder_of(night, nights)))


@click.group()
def ledger() -> None:
    """The record of a night."""


@ledger.command()
@night_argument
def compact(night: str | None, nights: Path | None) -> None:
    """Gather a night's many small files into few."""
    from appliance import ledger as book

    click.echo(f"{book.compact(folder_of(night, nights))} rows gathered")


@ledger.command(name="list")
@nights_option
def list_nights(nights: Path | None) -> None:
    """All nights, the latest first."""
    from appliance import ledger as book
    from appliance import paths

    for folder in reversed(book.list_nights(nights.absolute() if nights else paths.nights())):
        click.echo(str(folder))


COMMANDS = (status, stop, ledger)
