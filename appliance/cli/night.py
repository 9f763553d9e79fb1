"""`overnight` and what looks after a night: `status`, `stop`, `ledger`."""

from pathlib import Path

import click

from appliance.cli.options import device_option, folder_of, json_option, night_argument, nights_option, sandbox_option, task_option
from appliance.cli.progress import terminal


class _Hours(click.ParamType[float]):
    """A night's length in hours: positive, finite, at most a fortnight."""

    name = "hours"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            hours = float(str(value))
        except ValueError:
            self.fail(f"{value!r} is not a number of hours, e.g. 8 or 0.3", param, ctx)
        if not 0 < hours <= 336:
            self.fail(f"{value} hours is no night: give more than 0 and at most 336", param, ctx)
        return hours


@click.command()
@click.option("--hours", type=_Hours(), default=8.0, show_default=True, help="Clock of the night, after everything is installed.")
@click.option("--agent", default="search", show_default=True, metavar="NAME", help="Who proposes: search, claude, hybrid, command, replay.")
@click.option("--model", metavar="NAME", help="For claude and hybrid: the model; default: a current one.")
@click.option(
    "--max-cost", type=click.FloatRange(min=0, min_open=True), metavar="USD", help="For claude and hybrid: the night never costs more."
)
@click.option("--price", metavar="IN,OUT[,WRITE,READ]", help="For a model the price table lacks: USD per million tokens.")
@click.option("--effort", metavar="LEVEL", help="For claude and hybrid: low, medium, high, xhigh or max; default: the model's own.")
@click.option("--share", type=float, help="For hybrid: the model's share of the experiments; default 0.3.")
@click.option("--agent-command", metavar="COMMAND", help="For --agent command: JSON in, changed files out; see docs/agents.md.")
@click.option("--replay", multiple=True, type=click.Path(path_type=Path), help="For --agent replay: an asset to try; once for each.")
@task_option
@click.option("--preset", metavar="NAME", help="Size; default: the one for this device and length of night.")
@sandbox_option
@device_option
@nights_option
@click.option("--from", "from_night", metavar="NIGHT", help="Start at another night's winner.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), help="Seeds of all runs derive from it; default: drawn.")
@click.option(
    "--resume",
    is_flag=False,
    flag_value="",
    default=None,
    metavar="[NIGHT]",
    help="Go on with a night that was cut; the latest without a name.",
)
@json_option
def overnight(
    hours: float,
    agent: str,
    model: str | None,
    max_cost: float | None,
    price: str | None,
    effort: str | None,
    share: float | None,
    agent_command: str | None,
    replay: tuple[Path, ...],
    task: str,
    preset: str | None,
    sandbox: str,
    device: str | None,
    nights: Path | None,
    from_night: str | None,
    seed: int | None,
    resume: str | None,
    as_json: bool,
) -> int:
    """One night: find the best configuration on this hardware, confirm it, write the page.

    Ctrl-C ends the running experiment, confirms nothing, writes the page and exits 130; `--resume` goes on from there.
    """
    from appliance.workflows import overnight as workflow

    progress = terminal()
    if resume is not None:
        outcome = workflow.resume(folder_of(resume or None, nights), progress)
    else:
        options = workflow.Options(
            hours=hours,
            agent=agent,
            agent_options=_given(
                model=model,
                max_cost_usd=max_cost,
                price=price,
                effort=effort,
                share=share,
                command=agent_command,
                replay=[str(file) for file in replay] or None,
            ),
            task=task,
            preset=preset,
            sandbox=sandbox,  # type: ignore[arg-type]
            device=device,
            nights=nights,
            from_night=from_night,
            seed=seed,
        )
        outcome = workflow.begin(options, progress)
    if as_json:
        from appliance.cli.show import as_json as print_json

        print_json(
            {
                "night": outcome.folder.name,
                "folder": str(outcome.folder),
                "page": str(outcome.page),
                "interrupted": outcome.interrupted,
                "confirmation": outcome.confirmation,
            }
        )
    else:
        click.echo(f"the page: {outcome.page}")
        if outcome.interrupted:
            click.echo(f"interrupted; go on with: appliance overnight --resume {outcome.folder.name}")
    return 130 if outcome.interrupted else 0


def _given(**options: object) -> dict[str, object]:
    """What was said on the command line; the agent checks it."""
    return {name: value for name, value in options.items() if value is not None}


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


COMMANDS = (overnight, status, stop, ledger)
