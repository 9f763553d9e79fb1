"""`import`, `export`, `bundle`, `reproduce`: what comes in from others and goes out to them."""

from pathlib import Path

import click

from appliance.cli.options import device_option, folder_of, json_option, night_argument, nights_option, sandbox_option
from appliance.cli.progress import terminal

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command(name="import")
@click.argument("file", type=_FILE)
@click.option(
    "--noise", type=float, metavar="SD", help="Known noise of one run, in the metric's unit: names the keeps that it could explain."
)
@nights_option
def import_(file: Path, noise: float | None, nights: Path | None) -> None:
    """Take in someone else's results.tsv, CSV or run log as a night, marked imported and unverified."""
    from appliance.workflows import imports

    taken = imports.import_file(file, nights, noise)
    for folder, statuses in zip(taken.folders, taken.imported.statuses, strict=True):
        click.echo(f"{folder}: {', '.join(f'{count} {status}' for status, count in statuses.items()) or 'one run'}")
    for left in taken.imported.leftovers:
        click.echo(f"not understood, line {left.line}: {left.why}: {left.text[:100]}", err=True)


@click.command()
@night_argument
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="File to write, .tsv (five columns) or .csv.")
def export(night: str | None, nights: Path | None, out: Path) -> None:
    """Write a night as results.tsv or CSV, for notebooks."""
    from appliance import exchange, ledger

    exchange.export_night(ledger.read(folder_of(night, nights)), out)
    click.echo(str(out))


@click.command()
@night_argument
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="File to write; default: NIGHT.bundle.tar in this folder.")
def bundle(night: str | None, nights: Path | None, out: Path | None) -> None:
    """Pack winner, baseline, task and claim into one file that a stranger can reproduce."""
    from appliance.workflows import reproduce as workflow

    folder = folder_of(night, nights)
    target = out or Path(f"{folder.name}.bundle.tar")
    click.echo(f"{target} sha256 {workflow.bundle(folder, target)}")


@click.command()
@click.argument("file", metavar="BUNDLE", type=_FILE)
@click.option("--runs", type=click.IntRange(2, 64), default=4, show_default=True, help="Fresh pairs of baseline and winner.")
@click.option("--junit", type=click.Path(path_type=Path, dir_okay=False), help="Also write the answer as JUnit XML.")
@device_option
@sandbox_option
@json_option
def reproduce(file: Path, runs: int, junit: Path | None, device: str | None, sandbox: str, as_json: bool) -> int:
    """Run a bundle's winner and baseline afresh and say whether its claim holds here.

    Exit 0: reproduced, or not comparable (another device class; said). Exit 1: not reproduced.
    """
    from appliance.workflows import reproduce as workflow

    result = workflow.reproduce(file, runs, sandbox, device, terminal())  # type: ignore[arg-type]
    if junit:
        workflow.junit(result, junit)
    if as_json:
        from appliance.cli.show import as_json as print_json

        print_json(result)
    else:
        click.echo(f"{result.answer}: {result.sentence}")
    return 1 if result.answer == "not reproduced" else 0


COMMANDS = (import_, export, bundle, reproduce)
