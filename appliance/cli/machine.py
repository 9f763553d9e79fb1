"""`image` and `data`: what is built and fetched once."""

import click

from appliance.cli.options import device_option, json_option, sandbox_option, task_option
from appliance.cli.progress import terminal


@click.group()
def image() -> None:
    """The image in which everything runs."""


@image.command()
@click.option("--torch", metavar="VERSION", help="Version of torch instead of the pinned one.")
@click.option("--package-index", metavar="URL", help="Package index instead of pip's configured one.")
@click.option("--base", metavar="IMAGE", help="Base image instead of the slim Python one.")
@click.option("--base-has-torch", is_flag=True, help="The base image brings torch (vendor images for arm64).")
@json_option
def build(torch: str | None, package_index: str | None, base: str | None, base_has_torch: bool, as_json: bool) -> None:
    """Build the image where it is missing; nothing to do costs nothing."""
    from appliance.sandbox import image as images

    options = images.ImageOptions(torch=torch, package_index=package_index, base_image=base, base_has_torch=base_has_torch)
    _print([images.build(options, terminal().note)], as_json)


@image.command()
@json_option
def show(as_json: bool) -> None:
    """The images that are there, the newest first."""
    from appliance.sandbox.image import show as images

    _print(images(), as_json)


def _print(images: list, as_json: bool) -> None:  # type: ignore[type-arg]
    from appliance.cli import show as printing

    if as_json:
        printing.as_json(images)
        return
    header = ("image", "digest", "torch", "python", "architecture", "GB")
    printing.table(header, [(i.tag, i.digest[:12], i.torch, i.python, i.architecture, f"{i.size_bytes / 1e9:.2f}") for i in images])


@click.group()
def data() -> None:
    """Text that runs learn from and are scored on."""


@data.command(name="list")
@task_option
@json_option
def list_datasets(task: str, as_json: bool) -> None:
    """The datasets of a task."""
    from appliance import tasks
    from appliance.cli import show as printing

    sources = tasks.load(task).task.datasets
    if as_json:
        printing.as_json(sources)
        return
    rows = [(name, s.source, f"{s.bytes / 1e6:.0f} MB" if s.bytes else None, s.license, s.description) for name, s in sources.items()]
    printing.table(("dataset", "from", "size", "licence", "what"), rows)


@data.command()
@click.argument("name")
@task_option
@device_option
@sandbox_option
def fetch(name: str, task: str, device: str | None, sandbox: str) -> None:
    """Fetch dataset NAME by its hash and prepare its splits."""
    from appliance.workflows import corpora

    prepared = corpora.fetch_here(name, task, device, sandbox, terminal())  # type: ignore[arg-type]
    for split, folder in prepared.splits.items():
        click.echo(f"{split:<10} {folder}")
    click.echo(f"{'sha256':<10} {prepared.sha256}")


COMMANDS = (image, data)
