"""`overnight`: one night, begun or gone on with, here or in a process of its own."""

from __future__ import annotations  # records cost more than `--help` may

import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from appliance.cli.options import LOOPBACK, PORT, Hours, device_option, folder_of, json_option, nights_option, sandbox_option, task_option
from appliance.cli.progress import terminal

if TYPE_CHECKING:
    from appliance.workflows.overnight import Options, Outcome


class _Address(click.ParamType[tuple[str, int]]):
    """HOST:PORT; either may be left out, and an IPv6 address stands in brackets."""

    name = "address"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, int]:
        text = f":{value}" if str(value).isdecimal() else str(value)
        try:
            address = urlsplit(f"//{text}")
            host, port = address.hostname or LOOPBACK, PORT if address.port is None else address.port
        except ValueError:
            address = None
        if address is None or address.netloc != text or address.username is not None:
            self.fail(f"{value!r} is no address: give HOST:PORT, e.g. {LOOPBACK}:{PORT}", param, ctx)
        return host, port


_AGENT_OPTIONS = (
    click.option(
        "--agent", default="search", show_default=True, metavar="NAME", help="Who proposes: search, claude, hybrid, command, replay."
    ),
    click.option("--model", metavar="NAME", help="For claude and hybrid: the model; default: a current one."),
    click.option(
        "--max-cost",
        "max_cost_usd",
        type=click.FloatRange(min=0, min_open=True),
        metavar="USD",
        help="For claude and hybrid: the night never costs more.",
    ),
    click.option("--price", metavar="IN,OUT[,WRITE,READ]", help="For a model the price table lacks: USD per million tokens."),
    click.option("--effort", metavar="LEVEL", help="For claude and hybrid: low, medium, high, xhigh or max; default: the model's own."),
    click.option("--share", type=float, help="For hybrid: the model's share of the experiments; default 0.3."),
    click.option(
        "--agent-command", "command", metavar="COMMAND", help="For --agent command: JSON in, changed files out; see docs/agents.md."
    ),
    click.option("--replay", multiple=True, type=click.Path(), help="For --agent replay: an asset to try; once for each."),
)


def _agent_options(function: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(_AGENT_OPTIONS):
        function = option(function)
    return function


@click.command()
@click.option("--hours", type=Hours(), default=8.0, show_default=True, help="Clock of the night, after everything is installed.")
@_agent_options
@task_option
@click.option("--preset", metavar="NAME", help="Size; default: the one for this device and length of night.")
@sandbox_option
@device_option
@nights_option
@click.option("--from", "from_night", metavar="NIGHT", help="Start at another night's winner.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), help="Seeds of all runs derive from it; default: drawn.")
@click.option(
    "--standby/--no-standby", default=True, show_default=True, help="Whether a run's containers are made while the one before still works."
)
@click.option(
    "--resume",
    is_flag=False,
    flag_value="",
    default=None,
    metavar="[NIGHT]",
    help="Go on with a night that was cut; the latest without a name.",
)
@click.option(
    "--serve",
    type=_Address(),
    is_flag=False,
    flag_value=str(PORT),
    metavar="[HOST:PORT]",
    help=f"Its page while it runs, at {LOOPBACK}:{PORT} without an address; a host other than loopback gets a token.",
)
@click.option("--detach", is_flag=True, help="Go on when the terminal closes; `status`, `serve` and `stop` find it.")
@json_option
def overnight(nights: Path | None, resume: str | None, serve: tuple[str, int] | None, detach: bool, as_json: bool, **asked: Any) -> int:
    """One night: find the best configuration on this hardware, confirm it, write the page.

    Ctrl-C ends the running experiment, confirms nothing, writes the page and exits 130; `--resume` goes on from there.

    \b
    appliance overnight --hours 8 --serve     and look on
    appliance overnight --detach              and close the terminal
    """  # noqa: D301 - click wants the control character
    resumed = folder_of(resume or None, nights) if resume is not None else None
    if detach:
        return _detached(nights, resumed, as_json)
    from appliance.workflows import overnight as workflow

    if resumed is not None:
        outcome = workflow.resume(resumed, terminal(), serve)
    else:
        outcome = workflow.begin(_options(nights=nights, **asked), terminal(), serve)
    _tell(outcome, as_json)
    return 130 if outcome.interrupted else 0


def _options(
    *,
    model: str | None,
    max_cost_usd: float | None,
    price: str | None,
    effort: str | None,
    share: float | None,
    command: str | None,
    replay: tuple[str, ...],
    **others: Any,
) -> Options:
    """What was said on the command line; the agent checks what is its own."""
    from appliance.workflows.overnight import Options

    said = {
        "model": model,
        "max_cost_usd": max_cost_usd,
        "price": price,
        "effort": effort,
        "share": share,
        "command": command,
        "replay": list(replay) or None,
    }
    return Options(agent_options={name: value for name, value in said.items() if value is not None}, **others)


def _tell(outcome: Outcome, as_json: bool) -> None:
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
        return
    click.echo(f"the page: {outcome.page}")
    if outcome.interrupted:
        click.echo(f"interrupted; go on with: appliance overnight --resume {outcome.folder.name}")


def _detached(nights: Path | None, resumed: Path | None, as_json: bool) -> int:
    """This very command once more, in a process of its own; the exit code of what did not get as far as a night."""
    from appliance.workflows.detach import detach

    arguments = [argument for argument in sys.argv[1:] if argument != "--detach"]
    night = detach(arguments, nights=nights, resumed=resumed, say=lambda text: click.echo(text, err=True, nl=False))
    if isinstance(night, int):
        return night
    if as_json:
        from appliance.cli.show import as_json as print_json

        print_json({"night": night.folder.name, "folder": str(night.folder), "pid": night.pid, "log": str(night.log)})
        return 0
    click.echo(f"night {night.folder.name} goes on by itself, process {night.pid}")
    for what, command in (("where it stands", "status"), ("its page, live", "serve"), ("end it", "stop")):
        click.echo(f"  {what:<16} appliance {command} {shlex.quote(str(night.folder))}")
    click.echo(f"  {'its log':<16} {night.log}")
    return 0


COMMANDS = (overnight,)
