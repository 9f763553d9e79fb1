"""`report`, `serve`, `publish`, `compare`: what people look at."""

from pathlib import Path

import click

from appliance.cli.options import LOOPBACK, PORT, folder_of, json_option, night_argument, nights_option


@click.command()
@night_argument
@click.option("--out", type=click.Path(path_type=Path), help="File to write; default: report.html in the night's folder.")
@click.option("--public", is_flag=True, help="For others: without what identifies a machine or a person; the page says what that was.")
def report(night: str | None, nights: Path | None, out: Path | None, public: bool) -> None:
    """Rebuild the page of a night from its ledger; the latest without NIGHT."""
    from appliance import ledger
    from appliance import report as pages

    folder = folder_of(night, nights)
    read, left_out = ledger.read(folder), None
    if public:
        if out is None:
            raise click.UsageError("--public needs --out: the night's own page stays whole")
        read, left_out = pages.stripped(read)
    click.echo(str(pages.write_text(pages.render(read, left_out=left_out), out or folder / "report.html")))


@click.command()
@night_argument
@click.option("--host", default=LOOPBACK, show_default=True, help="Other than loopback needs a token, which is made and printed.")
@click.option("--port", type=click.IntRange(0, 65535), default=PORT, show_default=True, help="0 takes any free one.")
@click.option("--token", help="Token that other hosts must bring; default: drawn.")
def serve(night: str | None, nights: Path | None, host: str, port: int, token: str | None) -> None:
    """The page of a night that may still be running, updating itself; read-only. Ctrl-C ends it."""
    import threading

    from appliance import ledger
    from appliance import report as pages

    folder = folder_of(night, nights)
    with pages.Server(lambda: ledger.read(folder), pages.Address(host, port, token)).start() as server:
        click.echo(f"{server.address.url} (Ctrl-C ends it)")
        threading.Event().wait()


@click.command()
@click.argument("site", type=click.Path(path_type=Path, file_okay=False))
@click.argument("night", nargs=-1)
@nights_option
def publish(site: Path, night: tuple[str, ...], nights: Path | None) -> None:
    """Add nights to the static SITE; all nights without NIGHT. Private things are left out, and said."""
    from appliance import ledger, paths
    from appliance import report as pages

    root = nights.absolute() if nights else paths.nights()
    folders = [folder_of(name, nights) for name in night] or ledger.list_nights(root)
    sources = [pages.Source(f.name, pages.fingerprint(f), lambda f=f: ledger.read(f)) for f in folders]  # type: ignore[misc]
    done = pages.publish(site, sources)
    for name, lines in done.left_out.items():
        click.echo(f"{name}: left out {', '.join(lines) or 'nothing'}")
    click.echo(f"{done.index}: {len(done.made)} made, {len(done.kept)} as they were")


@click.command()
@click.argument("night", nargs=-1, required=True)
@nights_option
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), default=Path("compare.html"), show_default=True)
@json_option
def compare(night: tuple[str, ...], nights: Path | None, out: Path, as_json: bool) -> None:
    """Do several nights agree? A page; scores are never ranked across device classes."""
    from appliance import ledger
    from appliance import report as pages
    from appliance.cli.show import as_json as print_json

    read = [ledger.read(folder_of(name, nights)) for name in night]
    if as_json:
        print_json(pages.comparison(read))
        return
    pages.write_text(pages.compare(read), out)
    click.echo(str(out))


COMMANDS = (report, serve, publish, compare)
