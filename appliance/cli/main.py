"""The `appliance` command: its group, its version, and the one place where errors become messages and exit codes."""

import sys
from typing import Any

import click

import appliance
from appliance.cli import aftermath, device, exchange, machine, night, overnight, pages, task
from appliance.cli.signals import interruptible
from appliance.errors import ApplianceError

INTERRUPTED = 130


class _Appliance(click.Group):
    """A group that turns our errors into one line on stderr and the exit code of the contract."""

    def main(self, *arguments: Any, standalone_mode: bool = True, **extra: Any) -> Any:
        if not standalone_mode:
            return super().main(*arguments, standalone_mode=False, **extra)  # type: ignore[call-overload]
        try:
            with interruptible():
                result = super().main(*arguments, standalone_mode=False, **extra)  # type: ignore[call-overload]
        except ApplianceError as error:
            click.echo(f"appliance: {error}", err=True)
            sys.exit(error.exit_code)
        except click.ClickException as error:
            error.show()
            sys.exit(error.exit_code)
        except (click.Abort, KeyboardInterrupt):
            click.echo("appliance: interrupted", err=True)
            sys.exit(INTERRUPTED)
        except BrokenPipeError:
            sys.stderr.close()
            sys.exit(1)
        sys.exit(result if isinstance(result, int) else 0)


@click.group(cls=_Appliance, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(appliance.__version__, prog_name="appliance")
def main() -> None:
    """Find, in one night, the configuration that is best on this hardware.

    \b
    appliance doctor          what this machine lacks, and the mend
    appliance overnight       one night; the page is there in the morning
    appliance report          the page again, from the ledger

    Exit codes: 0 done, 1 failed, 2 usage, 3 a prerequisite is missing, 130 interrupted.
    """  # noqa: D301 - click wants the control character


for module in (device, machine, task, overnight, night, aftermath, pages, exchange):
    for command in module.COMMANDS:
        main.add_command(command)
