"""Options that several commands share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

LOOPBACK, PORT = "127.0.0.1", 8750
"""Where live pages are, unless another place is asked for."""

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
device_option = click.option(
    "--device", metavar="WHICH", help="Index, name, UUID or `cpu`; default: the idle GPU with most memory, else the CPU."
)
sandbox_option = click.option(
    "--sandbox",
    type=click.Choice(["docker", "process"]),
    default="docker",
    show_default=True,
    help="`process` isolates nothing and says so.",
)
task_option = click.option("--task", default="trainer", show_default=True, metavar="NAME|FOLDER", help="What is to be improved.")
nights_option = click.option(
    "--nights", type=click.Path(path_type=Path, file_okay=False), help="Folder of all nights; default APPLIANCE_NIGHTS, else ./nights."
)


class Hours(click.ParamType[float]):
    """A length in hours: positive, finite, at most a fortnight."""

    name = "hours"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Hours as a number."""
        try:
            hours = float(str(value))
        except ValueError:
            self.fail(f"{value!r} is not a number of hours, e.g. 8 or 0.3", param, ctx)
        if not 0 < hours <= 336:
            self.fail(f"{value} hours cannot be: give more than 0 and at most 336", param, ctx)
        return hours


def night_argument(function: Callable[..., Any]) -> Callable[..., Any]:
    """NIGHT: a folder, an id or the unique beginning of one; the latest without."""
    return click.argument("night", required=False)(nights_option(function))


def folder_of(night: str | None, nights: Path | None) -> Path:
    """The night that was named, or the latest."""
    from appliance import ledger, paths

    return ledger.find(nights.absolute() if nights else paths.nights(), night)
