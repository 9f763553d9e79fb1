"""`detect`, `doctor` and `profile`: what this machine is and what it can do."""

from pathlib import Path

import click

from appliance.cli.options import device_option, json_option, sandbox_option
from appliance.cli.progress import terminal


@click.command()
@json_option
def detect(as_json: bool) -> None:
    """What is in this machine, as NVML and the CPU report it."""
    from appliance import hardware

    devices = hardware.detect()
    if as_json:
        from appliance.cli.show import as_json as print_json

        print_json(devices)
        return
    for device in devices:
        click.echo("\n".join(hardware.describe(device)))


@click.command()
@click.option("--sandbox", "test_sandbox", is_flag=True, help="Also prove the sandbox's limits from inside a real container.")
@json_option
def doctor(test_sandbox: bool, as_json: bool) -> int:
    """What this machine lacks for a night, each with its mend. Exit 3 where something is missing."""
    from appliance.workflows.doctor import examine

    findings = examine(test_sandbox=test_sandbox)
    if as_json:
        from appliance.cli.show import as_json as print_json

        print_json(findings)
    else:
        for finding in findings:
            click.echo(f"{finding.mark} {finding.what}: {finding.found}")
            if finding.mend:
                click.echo(f"       mend: {finding.mend}")
    return 3 if any(finding.level == "missing" for finding in findings) else 0


@click.group()
def profile() -> None:
    """Measured facts about this hardware."""


@profile.command()
@click.option("--quick", "mode", flag_value="quick", default=True, help="Under a minute (the default).")
@click.option("--full", "mode", flag_value="full", help="More shapes, sustained rates, all attention cases: under 6 minutes on a GPU.")
@device_option
@sandbox_option
def measure(mode: str, device: str | None, sandbox: str) -> None:
    """Measure this machine's device and keep the result."""
    from appliance.workflows import measure as workflow

    path = workflow.measure_here(device, sandbox, mode, terminal())  # type: ignore[arg-type]
    click.echo(str(path))


@profile.command()
@device_option
@json_option
def show(device: str | None, as_json: bool) -> None:
    """The profile that a night on this machine would use."""
    from appliance import hardware, profiles
    from appliance.errors import ApplianceError

    chosen = hardware.choose(hardware.detect(), device)
    found = profiles.resolve(chosen)
    if found is None:
        raise ApplianceError(f"no profile matches {chosen.name} exactly: measure one with `appliance profile measure`")
    if as_json:
        from appliance.cli.show import as_json as print_json

        print_json(found)
        return
    for label, value in (
        ("device", found.name),
        ("profile", found.sha256[:12]),
        ("peak", f"{found.peak_flops / 1e12:.4g} TFLOP/s ({found.peak_source})" if found.peak_flops else "unknown"),
        ("bandwidth", f"{found.bandwidth_bytes_per_s / 1e9:.4g} GB/s" if found.bandwidth_bytes_per_s else "unknown"),
        ("memory", f"{found.usable_memory_bytes / 2**30:.1f} GiB usable" if found.usable_memory_bytes else "unknown"),
        ("attention", found.attention_backend or "unknown"),
    ):
        click.echo(f"{label:<10} {value}")
    for note in found.notes:
        click.echo(f"{'note':<10} {note}")


@profile.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
def verify(file: Path) -> int:
    """Recompute, check and weigh a measurement FILE. Exit 1 where it does not hold."""
    from appliance import profiles

    problems = profiles.verify(file)
    for problem in problems:
        click.echo(problem)
    click.echo("it does not hold" if problems else f"{file} holds")
    return 1 if problems else 0


COMMANDS = (detect, doctor, profile)
