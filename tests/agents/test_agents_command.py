import json
import sys
from pathlib import Path

import pytest
from agent_nights import Night

from appliance import agents
from appliance.agents.ahead import Ahead
from appliance.errors import UsageError
from appliance.records import Proposal

HALVES = """
import json, re, sys
night = json.load(sys.stdin)
text = night["incumbent"]["files"]["asset.py"]
width = int(re.search(r"WIDTH = (\\d+)", text)[1]) - 1
print(json.dumps({"files": {"asset.py": re.sub(r"WIDTH = \\d+", f"WIDTH = {width}", text)}, "hypothesis": "narrower"}))
"""


def command(tmp_path: Path, program: str) -> Ahead:
    file = tmp_path / "my agent.py"
    file.write_text(program)
    agent = agents.create("command", seed=1, options={"command": f"{sys.executable} '{file}'"})
    assert isinstance(agent, Ahead)
    return agent


def both(agent: Ahead, night: Night) -> Proposal:
    """The search's proposal while the command thinks, then the command's."""
    first = agent.propose(night.view())
    assert first is not None
    agent.observe(*night.decide(first), first)
    agent._wait()
    second = agent.propose(night.view())
    assert second is not None
    return second


def test_any_command_can_be_the_researcher(tmp_path: Path) -> None:
    agent, night = command(tmp_path, HALVES), Night()
    proposal = both(agent, night)
    assert (proposal.agent, proposal.hypothesis) == ("command", "narrower")
    assert "WIDTH = 31" in proposal.files["asset.py"]
    assert night.decide(proposal)[0].reason is None
    agent.close()


@pytest.mark.parametrize(
    "program",
    [
        "import sys; sys.exit(3)",
        "print('')",
        "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
    ],
)
def test_a_command_that_fails_leaves_the_night_to_the_search_and_is_given_up_after_five_times(tmp_path: Path, program: str) -> None:
    agent, night = command(tmp_path, program), Night()
    for _ in range(8):
        assert both(agent, night).agent == "search"
    notes = agent.notes()
    assert len(notes) == 5
    assert "not asked again" in notes[-1]
    agent.close()


def test_an_answer_that_is_no_json_is_a_refused_row(tmp_path: Path) -> None:
    agent, night = command(tmp_path, "print('hello')"), Night()
    proposal = both(agent, night)
    assert proposal.refused is not None
    assert "docs/agents.md" in proposal.refused
    agent.close()


def test_a_file_that_is_not_editable_is_refused_by_the_night(tmp_path: Path) -> None:
    agent, night = command(tmp_path, "import json; print(json.dumps({'files': {'../evaluator.py': 'x'}}))"), Night()
    experiment, _ = night.decide(both(agent, night))
    assert experiment.reason is not None
    assert experiment.reason.startswith("outside_the_asset")
    agent.close()


def test_a_command_that_cannot_be_a_command_is_told_at_once() -> None:
    for text in ("", "  ", "python 'unclosed"):
        with pytest.raises(UsageError, match="--agent-command"):
            agents.check("command", {"command": text})


def test_what_a_command_is_told_is_what_the_documentation_lists(tmp_path: Path) -> None:
    agent, night = command(tmp_path, f"import sys; open({str(tmp_path / 'told.json')!r}, 'w').write(sys.stdin.read())"), Night()
    both(agent, night)
    told = json.loads((tmp_path / "told.json").read_text())
    page = (Path(__file__).parents[2] / "docs" / "agents.md").read_text()
    assert [name for name in told if f"`{name}`" not in page] == []
    agent.close()
