"""`import`, `export`, `bundle`, `reproduce`: what comes in from others and goes out to them."""

from pathlib import Path

import click

from appliance.cli.options import device_option, folder_of, json_option, night_argument, nights_option, sandbox_option
from appliance.cli.progress import terminal

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
_OUT = click.Path(path_type=Path, dir_okay=False)


@click.command(name="import")
@click.argument("file", type=_FILE)
@click.option(
    "--noise", type=float, metavar="SD", help="Known noise of one run, in the metric's unit: names the keeps that it could explain."
)
@nights_option
def import_(file: Path, noise: float | None, nights: Path | None) -> None:
    """Take in someone else's results.tsv, CSV or run log as a night, marked imported and unverified.

    Example: appliance import results.tsv --noise 0.002
    """
    from appliance.workflows import imports

    taken = imports.import_file(file, nights, noise)
    for folder, statuses in zip(taken.folders, taken.imported.statuses, strict=True):
        click.echo(f"{folder}: {', '.join(f'{count} {status}' for status, count in statuses.items()) or 'one run'}")
    for left in taken.imported.leftovers:
        click.echo(f"not understood, line {left.line}: {left.why}: {left.text[:100]}", err=True)


@click.command()
@night_argument
@click.option("--out", type=_OUT, required=True, help="File to write, .tsv (five columns) or .csv.")
def export(night: str | None, nights: Path | None, out: Path) -> None:
    """Write a night as results.tsv or CSV, for notebooks.

    Example: appliance export --out results.tsv
    """
    from appliance import exchange, ledger

    exchange.export_night(ledger.read(folder_of(night, nights)), out)
    click.echo(str(out))


@click.command()
@night_argument
@click.option("--out", type=_OUT, help="File to write; default: NIGHT.bundle.tar in this folder.")
def bundle(night: str | None, nights: Path | None, out: Path | None) -> None:
    """Pack winner, baseline, task and claim into one file that a stranger can reproduce.

    Example: appliance bundle 20260312 --out winner.bundle.tar
    """
    from appliance.workflows import bundle as workflow

    folder = folder_of(night, nights)
    target = out or Path(f"{folder.name}.bundle.tar")
    click.echo(f"{target} sha256 {workflow.bundle(folder, target)}")


@click.command()
@click.argument("file", metavar="BUNDLE", type=_FILE)
@click.option("--runs", type=click.IntRange(2, 64), default=4, show_default=True, help="Fresh pairs of baseline and winner.")
@click.option("--junit", type=_OUT, help="Also write the answer as JUnit XML, for CI; an error too.")
@click.option("--report", type=_OUT, help="Also write the answer with all its runs as Markdown.")
@device_option
@sandbox_option
@json_option
def reproduce(file: Path, runs: int, junit: Path | None, report: Path | None, device: str | None, sandbox: str, as_json: bool) -> int:
    """Run a bundle's winner and baseline afresh and say whether its claim holds here.

    \b
    reproduced       exit 0: same class of device, and the fresh mean difference lies in the declared interval
    not reproduced   exit 1: it does not, and by how much
    not comparable   exit 0: another class of device, or nothing was declared; the numbers are shown

    The declared interval is the one in which the mean of that many fresh pairs falls with 95 %, computed from the bundle's own pairs
    before anything runs: declared mean ± t(n−1) · s · √(1/n + 1/runs), at least the task's smallest effect. Where the declared gain held,
    the fresh difference must be a gain too. Never a promise of equal bits.

    A bundle is a stranger's: its code runs in the sandbox alone. With --sandbox process there is none, and it runs as you.

    Example: appliance reproduce winner.bundle.tar --runs 6 --junit junit.xml
    """  # noqa: D301 - click wants the control character
    from appliance.workflows import reproduce as workflow

    options = workflow.Options(file=file, pairs=runs, sandbox=sandbox, device=device, junit=junit, report=report)  # type: ignore[arg-type]
    result = workflow.reproduce(options, terminal())
    if as_json:
        from appliance.cli.show import as_json as print_json

        print_json(result)
    else:
        click.echo(f"{result.answer}: {result.sentence}")
        for line in result.differs:
            click.echo(f"  differs: {line}")
    return 1 if result.answer == "not reproduced" else 0


COMMANDS = (import_, export, bundle, reproduce)
