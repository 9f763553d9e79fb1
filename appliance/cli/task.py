"""`task` and `run`: what is to be improved, and one run of it."""

from pathlib import Path

import click

from appliance.cli.options import device_option, json_option, sandbox_option, task_option
from appliance.cli.progress import terminal


@click.group()
def task() -> None:
    """Tasks: an editable asset, a metric, checks and a clock."""


@task.command()
@click.argument("folder", default="trainer")
def check(folder: str) -> None:
    """Read the task.toml of FOLDER and say what is wrong with it, or what it holds."""
    from appliance import tasks

    loaded = tasks.load(folder)
    held = loaded.task
    click.echo(f"{held.name} {held.version}: {held.description}")
    click.echo(f"asset {', '.join(held.asset.files)}; metric {held.metric.name} ({held.metric.direction} is better)")
    click.echo(f"presets {', '.join(held.presets)}; datasets {', '.join(held.datasets)}; {len(held.constants)} constants to search")
    click.echo(f"sha256 {loaded.sha256}")


@task.command()
@click.argument("folder", type=click.Path(path_type=Path))
def new(folder: Path) -> None:
    """Write a small, working task into FOLDER to start from."""
    from appliance import tasks

    for file in tasks.write_example(folder):
        click.echo(str(file))
    click.echo(f"try it: appliance task check {folder} && appliance run --task {folder}")


@click.command()
@click.argument("asset", type=click.Path(path_type=Path, exists=True, dir_okay=False), required=False)
@task_option
@click.option("--preset", metavar="NAME", help="Size; default: the one for this device.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True)
@device_option
@sandbox_option
@json_option
def run(asset: Path | None, task: str, preset: str | None, seed: int, device: str | None, sandbox: str, as_json: bool) -> int:
    """One run: ASSET (default: the preset's reference) trained and scored in sandboxes. Exit 1 where the run is not ok."""
    from appliance.cli import show as printing
    from appliance.workflows import single

    outcome = single.run_once(asset, task, preset, seed, device, sandbox, terminal())  # type: ignore[arg-type]
    if as_json:
        printing.as_json(outcome)
    elif outcome.status == "ok":
        rows = [(score.split, f"{score.score:.5f}", score.bytes) for score in outcome.scores]
        printing.table(("split", "score", "bytes"), rows)
        printing.table(("observable", "value"), [(name, f"{value:,.6g}") for name, value in outcome.observables.items()])
        times = ("create_s", "startup_s", "budget_s", "finish_s", "evaluate_s", "wall_s")
        printing.table(("seconds", ""), [(name, f"{value:.2f}") for name in times if (value := getattr(outcome, name)) is not None])
    else:
        click.echo(f"{outcome.status}: {outcome.reason}{f' ({outcome.detail})' if outcome.detail else ''}")
        click.echo(outcome.log_tail[-2000:])
    return 0 if outcome.status == "ok" else 1


COMMANDS = (task, run)
