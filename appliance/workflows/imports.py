"""Someone else's results as nights of ours: marked imported and unverified, nothing of them was run here."""

from dataclasses import dataclass
from pathlib import Path

from appliance import exchange, judge, ledger, report
from appliance.records import Run
from appliance.workflows.workplace import nights_root


@dataclass(frozen=True, kw_only=True, slots=True)
class Taken:
    """What an import made."""

    imported: exchange.Imported
    folders: list[Path]


def import_file(file: Path, nights: Path | None, noise_sd: float | None) -> Taken:
    """Read a results file or a log, and keep each of its tables as a night.

    Raises:
        UsageError: it cannot be read, or holds nothing that is understood.
    """
    imported = exchange.read(file, noise_sd=noise_sd)
    root = nights_root(nights)
    folders = []
    for night, compared in zip(imported.nights, imported.compared, strict=True):
        with ledger.create(root, night.plan) as book:
            runs: list[Run] = list(night.runs)
            for run in runs:
                book.record_run(run)
            for experiment in night.experiments:
                book.record_experiment(experiment)
            state = {field: getattr(night.state, field) for field in night.state.__struct_fields__}
            book.update_state(**{**state, "expected_false_keeps": judge.expected_false_keeps_if_lower(compared)})
            folder = book.folder
        report.write(ledger.read(folder), folder / "report.html")
        folders.append(folder)
    return Taken(imported=imported, folders=folders)
