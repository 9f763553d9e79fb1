"""`detect`, `doctor` and `profile`: what this machine is and what it can do."""

from pathlib import Path

import click

from appliance.cli.options import device_option, json_option, sandbox_option
from appliance.cli.progress import terminal

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


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


@profile.command(name="list")
def list_profiles() -> None:
    """Every board that something is known of."""
    from appliance import profiles

    click.echo("\n".join(profiles.list_lines()))


@profile.command()
@device_option
def match(device: str | None) -> None:
    """Every file that speaks of this machine's device, and how it matches."""
    from appliance import hardware, profiles

    chosen = hardware.choose(hardware.detect(), device)
    click.echo("\n".join(profiles.match_lines(chosen)) or f"nothing is known of {chosen.name}")


@profile.command()
@click.argument("file", type=_FILE)
def verify(file: Path) -> int:
    """Recompute, check and weigh a measurement FILE. Exit 1 where it does not hold."""
    from appliance import profiles

    findings = profiles.verify_file(file)
    for finding in findings:
        click.echo(f"{finding.severity}: {finding.field}: {finding.text}")
    holds = all(finding.severity != "error" for finding in findings)
    click.echo(f"{file} {'holds' if holds else 'does not hold'}")
    return 0 if holds else 1


@profile.command()
@click.argument("one", type=_FILE)
@click.argument("other", type=_FILE)
def diff(one: Path, other: Path) -> None:
    """What changed from measurement ONE to OTHER."""
    from appliance import profiles

    click.echo("\n".join(profiles.diff(profiles.read_measurement(one), profiles.read_measurement(other))) or "no difference")


@profile.command()
@click.argument("file", type=_FILE, required=False)
@click.option("--to", "folder", type=click.Path(path_type=Path, file_okay=False), default=Path(), help="Folder to write below.")
def export(file: Path | None, folder: Path) -> None:
    """Write a copy of measurement FILE (default: this machine's newest) without what names a person or machine."""
    from appliance import profiles

    click.echo("\n".join(profiles.export(file or profiles.newest_own(), folder)))


@profile.command(name="import")
@click.argument("file", type=_FILE)
def import_(file: Path) -> None:
    """Verify somebody's measurement FILE and keep it for this machine."""
    from appliance import profiles

    click.echo(str(profiles.import_(file)))


@profile.command()
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=Path(), help="Folder for index.json and index.html.")
def index(out: Path) -> None:
    """One generated index of all boards: JSON and a page with rooflines."""
    from appliance import profiles
    from appliance import report as pages

    known = profiles.index()
    out.mkdir(parents=True, exist_ok=True)
    profiles.write_index(known, out / "index.json")
    pages.write_text(pages.profile_index(known), out / "index.html")
    click.echo(str(out / "index.html"))


COMMANDS = (detect, doctor, profile)
