"""`report`: the page of a night."""

from pathlib import Path

import click

from appliance.cli.options import folder_of, night_argument


@click.command()
@night_argument
@click.option("--out", type=click.Path(path_type=Path), help="File to write; default: report.html in the night's folder.")
def report(night: str | None, nights: Path | None, out: Path | None) -> None:
    """Rebuild the page of a night from its ledger; the latest without NIGHT."""
    from appliance import ledger
    from appliance import report as pages

    folder = folder_of(night, nights)
    click.echo(str(pages.write(ledger.read(folder), out or folder / "report.html")))


COMMANDS = (report,)
