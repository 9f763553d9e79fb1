"""A night's result in one file for strangers."""

from pathlib import Path

from appliance import exchange, ledger, paths, tasks
from appliance.errors import UsageError
from appliance.records import Night, NightPlan, Run

IMAGE_LOCK = ("Dockerfile", "requirements.txt")
"""What the image is rebuilt from, below `docker/`."""


def bundle(folder: Path, target: Path) -> str:
    """Pack a night's result; the archive's SHA-256.

    Raises:
        UsageError: the night is imported or kept nothing, its task is gone or another by now, or the file cannot be written.
    """
    night = ledger.read(folder)
    plan, winner = night.plan, night.state.incumbent_sha256
    if plan.imported:
        raise UsageError(f"night {plan.night_id} is imported: there is nothing of it that could be run again")
    if winner is None or night.state.incumbent == 0:
        raise UsageError(f"night {plan.night_id} kept nothing: there is no winner to bundle")
    return exchange.write_bundle(
        target,
        plan=plan,
        confirmation=night.state.confirmation,
        winner_sha256=winner,
        winner=ledger.load_asset(folder, winner),
        baseline=ledger.load_asset(folder, plan.baseline_sha256),
        task_folder=_task_folder(plan),
        image_lock=image_lock(),
        pairs=pairs(night),
    )


def image_lock() -> dict[str, str]:
    """File → text of this installation's image."""
    return {name: (paths.share("docker") / name).read_text(encoding="utf-8") for name in IMAGE_LOCK}


def pairs(night: Night) -> list[exchange.Pair]:
    """The confirmation's pairs on the test split of the first corpus: those of which both halves have a score, in their order."""
    halves: dict[int, dict[int, float]] = {}
    for run in night.runs:
        score = _on_test(run)
        if run.kind == "confirm" and run.seed is not None and run.dataset == night.plan.preset.dataset and score is not None:
            halves.setdefault(run.seed, {})[run.experiment] = score
    winner = night.state.incumbent
    whole = {seed: scores for seed, scores in halves.items() if {0, winner} <= scores.keys()}
    return [exchange.Pair(seed=seed, baseline=scores[0], winner=scores[winner]) for seed, scores in whole.items()]


def _on_test(run: Run) -> float | None:
    return next((score.score for score in run.scores if score.split == "test"), None) if run.status == "ok" else None


def _task_folder(plan: NightPlan) -> Path:
    try:
        loaded = tasks.load(plan.task_source)
    except UsageError as error:
        raise UsageError(f"the task of night {plan.night_id} is not found from here: {error}") from error
    if loaded.sha256 != plan.task_sha256:
        raise UsageError(
            f"{loaded.folder} has changed since night {plan.night_id} (task {loaded.sha256[:12]}, then {plan.task_sha256[:12]}): "
            "put the task back as it was, or bundle a night of the present one"
        )
    return loaded.folder
