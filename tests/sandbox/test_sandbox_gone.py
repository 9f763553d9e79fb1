"""A box that dies of something outside it: the sandbox failed, and the program is not blamed."""

from collections.abc import Callable
from pathlib import Path

import pytest
from stub_task import ARTIFACT, DEVICE

from appliance.errors import SandboxError
from appliance.records import ArtifactFile, Reason
from appliance.sandbox import Spec
from appliance.sandbox.box import End, ProtocolBox, new_control, remove_control
from appliance.sandbox.words import Word

Make = Callable[..., "Scripted"]


class Scripted(ProtocolBox):
    """Says its words at once; `alive` and `oom` as the engine would tell, and `/out` is empty."""

    exit_is_told = True

    def __init__(self, words: list[str], *, alive: bool, oom: bool = False) -> None:
        nonce, control = new_control(Spec(command=("true",), folders={}, device=DEVICE, collect=ARTIFACT))
        super().__init__(Spec(command=("true",), folders={}, device=DEVICE, collect=ARTIFACT), nonce, control)
        self._alive, self._oom = alive, oom
        for word in words:
            self.log.words.put(Word(word, self._began))

    name, pid = "scripted", None

    @property
    def lives(self) -> bool:
        return self._alive

    def _freeze(self) -> None:
        pass

    def _thaw(self) -> None:
        pass

    def _copy(self, file: ArtifactFile, target: Path) -> bool:
        return False

    def _kill(self) -> End:
        return End(exit_code=137, oom_killed=self._oom, peak_memory_bytes=None)

    def remove(self) -> None:
        remove_control(self.control)


@pytest.mark.parametrize("words", [["eof"], ["done"]], ids=["silent", "emptied before the copy"])
def test_one_killed_from_outside_failed_as_a_sandbox(tmp_path: Path, words: list[str]) -> None:
    with pytest.raises(SandboxError, match="did the engine restart"):
        Scripted(words, alive=False).run(tmp_path)


def test_one_that_lives_and_hands_nothing_over_is_the_programs_fault(tmp_path: Path) -> None:
    assert Scripted(["done"], alive=True).run(tmp_path).refused_reason is Reason.NO_ARTIFACT


@pytest.mark.parametrize("words", [["eof"], ["done"]])
def test_one_that_the_kernel_killed_for_its_memory_is_the_programs_fault(tmp_path: Path, words: list[str]) -> None:
    assert Scripted(words, alive=False, oom=True).run(tmp_path).oom_killed
