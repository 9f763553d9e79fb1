"""Claude as the researcher: a question, an answer, its edits applied, at most two repairs, then the whole file.

What could be a proposal becomes one, also where the night will refuse it; an answer that gave nothing usable becomes a refused proposal, so
that every answer has its row and its cost in the ledger. Trouble with the server never reaches the night: `search` goes on meanwhile.
"""

import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from appliance.agents.ahead import Prepared
from appliance.agents.claude import edits, feedback, prices, prompt
from appliance.agents.claude.conversation import Conversation
from appliance.agents.claude.model import Answer, Model, Remedy, Trouble
from appliance.agents.claude.options import Options
from appliance.agents.claude.prices import Usage
from appliance.agents.claude.purse import Purse
from appliance.records import Experiment, Proposal, Run, Task, View

_REPAIRS = 2
"""Chances to mend blocks that do not match, before the whole file is asked for."""
_ANSWERS = 3
"""Answers that may be refused in a row before thinking waits for the next experiment."""
_FIRST_WAIT_S = 5.0
_LONGEST_WAIT_S = 300.0
_LONGEST_TOLD_WAIT_S = 3_600.0
"""Most that a retry-after is believed."""
_DETAILS = 6
"""Latest experiments whose results are kept in detail."""
_HYPOTHESIS = re.compile(r"^\W*HYPOTHESIS\W*:\W*(.+?)(?=^\W*PREDICTED|^<{5,}|\Z)", re.MULTILINE | re.DOTALL | re.IGNORECASE)
_PREDICTED = re.compile(r"^\W*PREDICTED\W*:\D{0,20}?([-+−]?\d+(?:\.\d+)?(?:e[-+]?\d+)?)", re.MULTILINE | re.IGNORECASE)


class Claude:
    """A thinker for `Ahead`."""

    def __init__(
        self,
        options: Options,
        model: Model,
        state: Mapping[str, Any] | None = None,
        *,
        name: str = "claude",
        wait: Callable[[float], bool] | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        state = state or {}
        self.name = name
        self._options, self._model = options, model
        self._closed, self._asking = threading.Event(), threading.Lock()
        self._wait, self._now = wait or self._closed.wait, now
        rate = prices.rate(options.model, options.price)
        if saved := state.get("rate"):  # a night keeps the prices it began with
            rate = msgspec.convert(saved, prices.Rate)
        self._purse = Purse(rate, options.max_cost_usd, state.get("purse"))
        self._conversation = Conversation()
        self._lock = threading.Lock()
        self._answers: Counter[str] = Counter(state.get("answers", {}))
        self._details: dict[int, str] = {int(number): text for number, text in state.get("details", {}).items()}
        self._carried = Usage(**state.get("carried", {}))
        """Tokens of calls that became no proposal: told with the next one."""
        self._notes: list[str] = []
        self._given_up: str | None = state.get("given_up")
        self._task: Task | None = None
        self._quiet_until = 0.0
        self._failures = 0

    # what `Ahead` asks

    def think(self, view: View, running: Proposal | None) -> list[Prepared]:
        """One usable proposal, behind those that came before it and will be refused; fewer where the server fails or the cap is reached."""
        prepared: list[Prepared] = []
        for _ in range(_ANSWERS):
            with self._lock:
                self._task, details = view.task, dict(self._details)
            self._conversation.turn(view, details, running)
            one = self._round(view)
            if one is None and self._conversation.characters == 0 and self.ready():
                continue  # it was too long, and is shorter now
            if one is None:
                break
            prepared.append(one)
            refusal = one.proposal.refused or view.refuse(one.proposal.files)
            if refusal is None:
                break
            if one.proposal.refused is None:
                self._count(f"refused_{refusal.split(':')[0]}")
            self._conversation.remark(f"Your last answer was refused before it ran: {refusal}")
        return prepared

    def rebase(self, prepared: Prepared, view: View) -> dict[str, str] | str:
        """Its blocks applied to the new incumbent, if each still matches exactly once."""
        if prepared.blocks is None:
            return "it is a whole file"
        try:
            return edits.apply([edits.Block(file, tuple(old), tuple(new)) for file, old, new in prepared.blocks], view.asset)
        except edits.EditError as error:
            return str(error).splitlines()[0]

    def ready(self) -> bool:
        """Not after it gave up, nor while a server wants to be left alone."""
        return self._given_up is None and not self._closed.is_set() and self._now() >= self._quiet_until

    def observe(self, experiment: Experiment, runs: Sequence[Run], proposal: Proposal) -> None:
        """Keep the last results in detail."""
        text = feedback.details(experiment, runs, self._task) if self._task is not None else ""
        with self._lock:
            self._details[experiment.experiment] = text
            for old in sorted(self._details)[:-_DETAILS]:
                del self._details[old]

    def notes(self) -> list[str]:
        """What people should know."""
        with self._lock:
            notes, self._notes = self._notes, []
        return notes

    def account(self) -> dict[str, Any]:
        """Model, prices, tokens, cost, answers by kind."""
        with self._lock:
            return {
                "model": self._options.model,
                "rate": msgspec.to_builtins(self._purse.rate),
                "max_cost_usd": self._options.max_cost_usd,
                "calls": self._purse.calls,
                "tokens_in": self._purse.usage.input,
                "tokens_cached": self._purse.usage.cache_read,
                "tokens_out": self._purse.usage.output,
                "cost_usd": self._purse.spent_usd if self._purse.rate.price else None,
                "cost_unsure_usd": self._purse.may_have_cost_usd,
                "answers": dict(sorted(self._answers.items())),
                "given_up": self._given_up,
            }

    def dump(self) -> dict[str, Any]:
        """State; never a key."""
        with self._lock:
            return {
                "purse": self._purse.dump(),
                "rate": msgspec.to_builtins(self._purse.rate),
                "answers": dict(self._answers),
                "details": {str(number): text for number, text in self._details.items()},
                "carried": _usage(self._carried),
                "given_up": self._given_up,
            }

    def close(self) -> None:
        """No new call; a wait under way ends. A call under way goes on to its end, so that it is accounted for, and ends the connection."""
        self._closed.set()
        if self._asking.acquire(blocking=False):
            self._asking.release()
            self._model.close()

    # one round: a question until it is a proposal, or cannot be one

    def _round(self, view: View) -> Prepared | None:
        """A proposal, perhaps a refused one; None where no answer came."""
        used = Usage()
        hypothesis, predicted, why = "", None, ""
        kinds: list[str] = []
        for attempt in range(_REPAIRS + 2):
            answer = self._ask()
            if answer is None:
                if not kinds:
                    return None
                break
            used += answer.usage
            self._conversation.answered(answer.text)
            hypothesis, predicted = _hypothesis(answer.text) or hypothesis, _predicted(answer.text) if predicted is None else predicted
            try:
                wanted = self._edits(answer, view)
                files = wanted.apply(view.asset)
            except edits.EditError as error:
                why = str(error)
                kinds.append(_kind(answer, why))
                if answer.stop == "refusal":
                    self._conversation.forget()  # what made it refuse would be in every later prompt
                    break
                self._conversation.correct(self._mend(why, attempt, view))
                continue
            self._count("good" if not kinds else "repaired", *kinds)
            return Prepared(proposal=self._proposal(view, files, hypothesis, predicted, used, None), blocks=_portable(wanted))
        self._count(*kinds)
        refused = f"the model gave no usable answer: {' '.join(why.split())[:300]}"
        return Prepared(proposal=self._proposal(view, dict(view.asset), hypothesis or "(none)", predicted, used, refused))

    def _edits(self, answer: Answer, view: View) -> edits.Edits:
        """What the answer wants.

        Raises:
            EditError: nothing that could be applied.
        """
        if answer.stop == "refusal":
            raise edits.EditError("the model refused to answer")
        if answer.stop in ("max_tokens", "too_long", "model_context_window_exceeded"):
            raise edits.EditError("your answer was cut because it was too long; give fewer and shorter blocks")
        if not answer.text.strip():
            raise edits.EditError("your answer was empty")
        return edits.parse(answer.text, view.task.asset.files)

    @staticmethod
    def _mend(why: str, attempt: int, view: View) -> str:
        """What the model is told: what is wrong, and after two repairs to give the whole file."""
        if attempt < _REPAIRS:
            return f"Nothing was changed: {why}\nAnswer again, whole, in the form you were given."
        return f"Nothing was changed: {why}\n" + prompt.WHOLE_FILE.format(file=view.task.asset.files[0])

    def _proposal(
        self, view: View, files: dict[str, str], hypothesis: str, predicted: float | None, used: Usage, refused: str | None
    ) -> Proposal:
        with self._lock:
            used, self._carried = used + self._carried, Usage()
        return Proposal(
            files=files,
            hypothesis=hypothesis or "(the model gave none)",
            predicted_effect=predicted,
            agent="claude",
            parent_sha256=view.asset_sha256,
            tokens_in=used.input,
            tokens_out=used.output,
            tokens_cached=used.cache_read,
            cost_usd=self._purse.rate.cost_usd(used),
            refused=refused,
        )

    def _ask(self) -> Answer | None:
        """One answer; waits where the server says so, begins anew where the prompt is too long, None where it cannot be had now."""
        while not self._closed.is_set():
            size = self._conversation.bytes
            tokens = self._purse.answer_tokens(size, self._options.max_tokens)
            if not tokens:
                self._give_up(
                    f"the cap of ${self._options.max_cost_usd:g} leaves nothing for another answer (${self._purse.spent_usd:.2f} spent)"
                )
                return None
            with self._asking:
                if self._closed.is_set():
                    return None
                self._purse.open(size, tokens)
                said = self._model.ask(self._conversation.system(), self._conversation.messages(), tokens)
            if self._closed.is_set():
                self._model.close()
            if isinstance(said, Answer):
                self._failures = 0
                self._purse.settle(said.usage)
                return said
            if said.usage is None:
                self._purse.settle_free()
            else:
                self._purse.settle_unsure(said.usage)
                with self._lock:
                    self._carried += said.usage
            if not self._after(said):
                return None
        return None

    def _after(self, trouble: Trouble) -> bool:
        """Whether to ask again at once."""
        if self._closed.is_set():
            return False
        self._count(trouble.name)
        if trouble.remedy is Remedy.GIVE_UP:
            self._give_up(trouble.detail)
            return False
        if trouble.remedy is Remedy.SHORTEN:
            if not self._conversation.shorten():
                self._give_up(f"the shortest prompt is too long: {trouble.detail}")
            return False
        wait = min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2.0 ** min(self._failures, 10))
        if trouble.retry_after_s is not None:
            wait = max(1.0, min(_LONGEST_TOLD_WAIT_S, trouble.retry_after_s))
        self._failures += 1
        if self._failures == 1:
            self._say(f"the model does not answer ({trouble.detail}); the search goes on and it is asked again")
        self._quiet_until = self._now() + wait
        self._wait(wait)
        return self._failures % 4 != 0  # then with a fresh question: much may have happened since

    def _give_up(self, why: str) -> None:
        self._given_up = why
        self._say(f"the model is not asked again this night: {why}. The search goes on.")

    def _say(self, line: str) -> None:
        with self._lock:
            self._notes.append(line)

    def _count(self, *kinds: str) -> None:
        with self._lock:
            self._answers.update(kinds)


def _kind(answer: Answer, why: str) -> str:
    """An unusable answer's name in the account."""
    if answer.stop == "refusal":
        return "declined"
    for part, name in (
        ("cut because", "too_long"),
        ("was empty", "empty"),
        ("no edit", "no_blocks"),
        ("matches nothing", "no_match"),
        ("places", "many_matches"),
        ("may not be edited", "foreign_file"),
    ):
        if part in why:
            return name
    return "malformed"


def _portable(wanted: edits.Edits) -> list[tuple[str, list[str], list[str]]] | None:
    return [(b.file, list(b.search), list(b.replace)) for b in wanted.blocks] if wanted.whole is None else None


def _hypothesis(text: str) -> str:
    match = _HYPOTHESIS.search(text)
    return " ".join(match[1].split())[:600] if match else ""


def _predicted(text: str) -> float | None:
    match = _PREDICTED.search(text)
    if match is None:
        return None
    value = float(match[1].replace("−", "-"))
    return value if abs(value) < 1e6 else None


def _usage(usage: Usage) -> dict[str, int]:
    return {"uncached": usage.uncached, "cache_write": usage.cache_write, "cache_read": usage.cache_read, "output": usage.output}
