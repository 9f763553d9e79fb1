"""The GB10's moves as edits, and a ledger held to its word: on a night of the real loop with runs by formula."""

import os

import claude as bench_claude
import gb10_night
import msgspec
import pytest
from fast_clock import FastClock
from messages_server import KEY, MessagesServer
from scripted_model import value
from surrogate import Surrogate

from appliance import ledger, paths, tasks
from appliance.agents import claude
from appliance.agents.ahead import Ahead
from appliance.records import Night, Verdict
from appliance.workflows import overnight
from appliance.workflows.clock import Clock
from appliance.workflows.progress import Silent

ASSET = {"train.py": (paths.share("trainer") / "train.py").read_text()}
LINES = {line.split(" = ")[0]: line for line in ASSET["train.py"].splitlines() if line.split(" = ")[0].isupper() and " = " in line}


def test_every_move_can_be_played_on_the_trainer_and_changes_one_constant():
    start = tasks.replace_constants(ASSET, {"VOCAB_SIZE": 1024, "SEQUENCE_LENGTH": 256, "BATCH_TOKENS": 2048, "VALUE_EMBEDDINGS": False})
    lines = {line.split(" = ")[0]: line for line in start["train.py"].splitlines() if line.split(" = ")[0] in LINES}
    before = tasks.read_constants(start)
    for move, (constant, _) in gb10_night.MOVES.items():
        ((old, new),) = gb10_night.played(move, lines).items()
        assert start["train.py"].count(old) == 1
        after = tasks.read_constants({"train.py": start["train.py"].replace(old, new)})
        assert [name for name in before if before[name] != after[name]] == [constant]


def test_a_move_that_leads_out_of_the_range_is_not_played():
    assert gb10_night.played("halve_depth", {"DEPTH": "DEPTH = 1  # layers"}) == {}
    assert gb10_night.played("larger_vocabulary", {"VOCAB_SIZE": "VOCAB_SIZE = 8192"}) == {}
    assert gb10_night.played("swiglu", {"ACTIVATION": 'ACTIVATION = "swiglu"  # x'}) == {}


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> tuple[Night, MessagesServer]:
    """An hour of the real loop, judge, agent, SDK and HTTP, on a fast clock."""
    root = tmp_path_factory.mktemp("nights")
    surrogate, clock = Surrogate(), FastClock(lambda: 0)
    preset = msgspec.structs.replace(surrogate.preset, budget_s=bench_claude.RUN_S)
    place = bench_claude._workplace(root, surrogate, preset)
    plan, baseline = bench_claude._plan(place, 1.0, seed=5)
    options = claude.options({"overlap": False})
    with pytest.MonkeyPatch.context() as patch, MessagesServer(gb10_night.Player(0.0), models=(options.model,)) as server:
        patch.setitem(os.environ, "ANTHROPIC_BASE_URL", server.url)
        patch.setitem(os.environ, "ANTHROPIC_API_KEY", KEY)
        patch.setitem(os.environ, "APPLIANCE_STATE", str(root / "state"))
        agent = Ahead(claude.Claude(options, claude.Model(options), now=clock.now), seed=5, overlap=False)
        with ledger.create(root, plan, [baseline]) as book:
            execution = bench_claude.Execution(surrogate, clock)
            overnight.work(book, place, execution, Silent(), Clock(3600.0, now=clock.now), agent)
            folder = book.folder
    return ledger.read(folder), server


def test_what_the_judge_kept_was_better_and_nothing_is_unaccounted_for(lived: tuple[Night, MessagesServer]):
    night, server = lived
    assert gb10_night.problems(night) == []
    assert gb10_night.unaccounted(server, night.state.agent) == 0
    assert sum(e.agent == "claude" for e in night.experiments) >= 10
    assert any(e.incumbent == e.experiment for e in night.experiments)
    assert any(e.verdict is Verdict.FAILED for e in night.experiments)
    assert all(e.hypothesis.split(":")[0] in gb10_night.table(night) for e in night.experiments if e.agent == "claude")


def test_the_moves_follow_the_incumbent(lived: tuple[Night, MessagesServer]):
    night, _ = lived
    halved = [e for e in night.experiments if e.hypothesis.startswith("halve_depth")]
    for e in halved:
        removed, added = (next(x[1:] for x in e.diff.splitlines() if x.startswith(f"{sign}DEPTH")) for sign in "-+")
        assert value(added) == round(value(removed) / 2)


def test_a_verdict_that_its_rows_do_not_bear_is_found(lived: tuple[Night, MessagesServer]):
    night, _ = lived
    kept = next(e for e in night.experiments if e.verdict is Verdict.KEPT)
    worse = next(e for e in night.experiments if e.verdict is Verdict.WORSE)

    def changed(number: int, **fields: object) -> list[str]:
        experiments = [msgspec.structs.replace(e, **fields) if e.experiment == number else e for e in night.experiments]
        return gb10_night.problems(msgspec.structs.replace(night, experiments=experiments))

    assert any("was better" in line for line in changed(kept.experiment, verdict=Verdict.WORSE))
    assert any("difference is not" in line for line in changed(kept.experiment, difference=-9.0))
    assert any("not better" in line for line in changed(worse.experiment, verdict=Verdict.KEPT))
    assert any("chain" in line for line in changed(worse.experiment, parent=99))
    assert any("names runs" in line for line in changed(worse.experiment, runs=[]))
    gone = msgspec.structs.replace(night, experiments=list(night.experiments)[:-1])
    assert any("no decided experiment" in line for line in gb10_night.problems(gone))
