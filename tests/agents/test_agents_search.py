import json

import policies
from agent_nights import Night
from surrogate import Surrogate

from appliance import tasks
from appliance.agents.search import Search
from appliance.records import Verdict


def test_the_first_proposals_are_sized_by_the_estimate_and_far_smaller_than_the_baseline() -> None:
    surrogate = Surrogate()
    state = policies.Night(surrogate, seed=1)
    change = policies.ours(1)(state.view())
    assert change is not None
    base, sized = (surrogate.expected(c)[1] for c in (state.configurations[0], {**state.configurations[0], **change}))
    assert 6 < sized["steps"] / base["steps"] < 20
    assert {name for name in change if change[name] != state.configurations[0][name]} == {"DEPTH", "WIDTH"}


def test_twenty_runs_find_most_of_what_sizing_has_to_give() -> None:
    surrogate = Surrogate()
    state = policies.night(surrogate, policies.ours(3), seed=3, runs=24)
    assert state.path[-1] / state.path[0] - 1 < -0.19


def test_it_needs_no_memory_but_the_ladder_so_a_resumed_night_goes_on_the_same() -> None:
    surrogate = Surrogate()
    state = policies.Night(surrogate, seed=2)
    search = Search(5)
    for _ in range(9):
        proposal = search.propose(state.view())
        assert proposal is not None
        state.experiment(tasks.read_constants(proposal.files), 200)
    again = Search(5, json.loads(json.dumps(search.dump())))
    assert again.propose(state.view()) == search.propose(state.view())


def test_a_task_without_estimate_sizes_or_roles_is_searched_all_the_same() -> None:
    night, search = Night(), Search(1)
    seen = set()
    for _ in range(12):
        proposal = search.propose(night.view())
        assert proposal is not None
        experiment, _ = night.decide(proposal, Verdict.WORSE, 0.01)
        assert experiment.reason is None
        seen.add(proposal.files["asset.py"])
    assert len(seen) == 12


def test_it_says_so_when_nothing_is_left_to_move() -> None:
    night = Night(start="print('no constants')\n")
    assert Search(1).propose(night.view()) is None
