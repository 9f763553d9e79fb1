"""From artifact to score: an evaluate sandbox per split. None of the asset's code is in it."""

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from appliance import sandbox, tasks, temporary
from appliance.records import ArtifactFile, Device, Preset, Profile, Reason, Score
from appliance.workflows.view import task_view

_SCORE_FILE = ArtifactFile(name="score.json", at="end", max_bytes=16 << 20)


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What an artifact came to on one split."""

    status: str
    reason: Reason | None = None
    detail: str | None = None
    score: Score | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Scoring:
    """A started evaluate box: where the command can stand by, it imports and waits for its release."""

    box: sandbox.Box
    split: str
    _out: Path

    def score(self) -> Verdict:
        """Let it score, and read the answer.

        Raises:
            SandboxError: the engine failed.
        """
        result = self.box.run(self._out)
        try:
            answer = json.loads((self._out / _SCORE_FILE.name).read_bytes())
        except (OSError, ValueError):
            return Verdict(status="rejected", reason=Reason.EVALUATION_FAILED, detail=result.log_tail.strip()[-300:] or result.refused)
        if answer.get("valid") is not True:
            known = answer.get("reason") in set(Reason)
            reason = Reason(answer["reason"]) if known else Reason.EVALUATION_FAILED
            return Verdict(status="rejected", reason=reason, detail=answer.get("detail"))
        return Verdict(status="ok", score=msgspec.convert({**answer["scores"][0], "split": self.split}, Score))


class Scorer:
    """Makes evaluate boxes."""

    def __init__(self, *, place: sandbox.Sandbox, loaded: tasks.LoadedTask, preset: Preset, device: Device, profile: Profile) -> None:
        self._sandbox, self._loaded, self._preset, self._device = place, loaded, preset, device
        self._profile = msgspec.json.encode(profile)

    @contextlib.contextmanager
    def open(self, artifact: Path, split: str, data: Path, labels: Mapping[str, str], *, per_document: bool) -> Iterator[Scoring]:
        """A box that sees this artifact and this split; removed afterwards.

        Raises:
            SandboxError: the engine failed.
        """
        command = self._loaded.task.evaluate
        with temporary.folder("score") as out, task_view(self._loaded, command) as seen:
            wanted = self._preset.evaluation.get(split)
            spec = sandbox.Spec(
                command=tuple(command.command),
                folders={"TASK": seen, "ARTIFACT": artifact, "DATA": data},
                limits=command.limits,
                device=self._device,
                params={**self._preset.params, "split": split, "evaluation_bytes": wanted, "per_document": per_document},
                timeout_s=command.timeout_s,
                collect=(_SCORE_FILE,),
                profile=self._profile,
                labels=labels,
            )
            with self._sandbox.create(spec) as box:
                yield Scoring(box=box, split=split, _out=out)
