"""The prompt of a whole night: how it reads (a golden file), how long it gets, how much of it is read from the cache."""

import os
import random
from pathlib import Path
from typing import Any

import pytest
from agent_nights import Night, answer
from messages_server import MessagesServer

from appliance import tasks
from appliance.agents.claude import edits, feedback
from appliance.agents.claude.conversation import Conversation
from appliance.records import Proposal, Verdict

GOLDEN = Path(__file__).with_name("prompt_golden.txt")


def play(night: Night, experiments: int, moves: list[tuple[str, str]], *, seed: int) -> tuple[Conversation, list[dict[str, Any]]]:
    """A night of Claude's and the search's proposals, one in six kept, one in twenty crashed; every request that was made."""
    rng, conversation, requests, details = random.Random(seed), Conversation(), [], {}
    name = night.loaded.task.asset.files[0]
    for n in range(experiments):
        view = night.view()
        running = None
        if n % 3 == 2:
            constant, _ = moves[n % len(moves)]
            change = {constant: view.task.constants[constant].low or 1}
            running = Proposal(files=view.edit(change), hypothesis=f"try {constant}", agent="search", parent_sha256=view.asset_sha256)
        conversation.turn(view, details, running)
        requests.append({"system": conversation.system(), "messages": conversation.messages()})
        constant, literal = moves[n % len(moves)]
        old = next(line for line in view.asset[name].splitlines() if line.startswith(f"{constant} = "))
        new = f"{constant} = {literal.format(n=n)}"
        text = answer(old, new, hypothesis=f"{constant} fits this machine better: fewer bytes move per step ({n})", file=f" {name}")
        conversation.answered(text)
        files = edits.parse(text, [name]).apply(view.asset)
        draw = rng.random()
        proposal = Proposal(
            files=files, hypothesis=f"{constant} fits better ({n})", predicted_effect=-0.01, agent="claude", parent_sha256=""
        )
        if draw < 0.05:
            log = (
                "".join(f"step {k}\n" for k in range(50))
                + "Traceback (most recent call last):\n  File train.py\nRuntimeError: shapes differ"
            )
            decided = night.decide(proposal, Verdict.FAILED, None, status="failed", score=None, reason="crash", log_tail=log)
        elif draw < 0.05 + 1 / 6:
            decided = night.decide(proposal, Verdict.KEPT, -0.01 - 0.01 * rng.random())
        else:
            decided = night.decide(proposal, Verdict.WITHIN_NOISE if draw < 0.5 else Verdict.WORSE, 0.01 * rng.random())
        details = {n: t for n, t in details.items() if n > len(night.experiments) - 6}
        details[decided[0].experiment] = feedback.details(*decided, view.task)
    conversation.turn(night.view(), details, None)
    requests.append({"system": conversation.system(), "messages": conversation.messages()})
    return conversation, requests


def test_the_prompt_of_a_night_reads_like_its_golden_file() -> None:
    moves = [("WIDTH", "{n}"), ("DEPTH", "{n}"), ("RATE", "0.{n}1")]
    night = Night()
    play(night, 120, moves, seed=1)  # whoever resumes begins anew with all of it
    conversation, _ = play(night, 3, moves, seed=2)
    text = conversation.text()
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text(text)
    assert text == GOLDEN.read_text(), "set UPDATE_GOLDEN=1 and read the difference"


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.long)])
def test_after_150_experiments_on_the_trainer_it_is_short_and_nearly_all_from_the_cache(seed: int) -> None:
    loaded = tasks.load("trainer")
    moves = [
        ("DEPTH", "{n}"),
        ("WIDTH", "{n}"),
        ("MATRIX_LR", "0.0{n}1"),
        ("EMBED_LR", "0.{n}1"),
        ("BATCH_TOKENS", "{n}00"),
        ("WARMDOWN_SHARE", "0.{n}3"),
    ]
    _, requests = play(Night(loaded=loaded, start=None), 150, moves, seed=seed)
    server = MessagesServer(lambda _request, _number: None, now=lambda: 0.0)  # type: ignore[arg-type, return-value]
    counted = [server.count_input(request) for request in requests]
    server._http.server_close()
    assert max(sum(count.values()) for count in counted) < 25_000
    read = sum(count["cache_read_input_tokens"] for count in counted[1:])
    assert read / sum(sum(count.values()) for count in counted[1:]) >= 0.8
