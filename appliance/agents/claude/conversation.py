"""The messages of a night: append-only, so that nearly all of every prompt is read from the cache; begun anew when it grows too long.

A beginning tells everything in the order of `prompt`. Each later turn only adds what happened since. After a change of the incumbent its
diff is enough while it is short.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from appliance.agents.claude import history, prompt
from appliance.records import Proposal, View

LONGEST_PROMPT_TOKENS = 22_000
"""A conversation that would be longer begins anew; a beginning has about half of that."""

_CHARACTERS_PER_TOKEN = 3.5
"""Of code and figures; on the safe side for prose."""
_SHORTEST = 0.25
"""Of the history, where a server finds the prompt too long again and again."""
_DIFF_LINES = 60
_CACHE = {"type": "ephemeral", "ttl": "1h"}


class Conversation:
    """Builds the messages. `details` are texts about the last results, by experiment."""

    def __init__(self) -> None:
        self._turns: list[tuple[str, list[str]]] = []
        self._program = ""
        self._incumbent: int | None = None
        self._told = 0
        """Latest experiment that the model knows of."""
        self._before: tuple[int, int | None, int] | None = None
        """Length, incumbent and latest experiment before the last question: where an unanswered one is taken back to."""
        self._scale = 1.0
        self._beginning = 0
        """Tokens of the present conversation's beginning."""
        self._remarks: list[str] = []

    def turn(self, view: View, details: Mapping[int, str], running: Proposal | None) -> None:
        """The next question: what happened since the last, and what runs now."""
        ask = prompt.now(view, running)
        self._take_back()
        if self._remarks:
            ask, self._remarks = "\n".join([*self._remarks, ask]), []
        before = (len(self._turns), self._incumbent, self._told)
        fresh = [e for e in view.experiments if e.experiment > self._told]
        update = None if not self._turns else self._update(view, details, fresh)
        longest = max(LONGEST_PROMPT_TOKENS * self._scale, 1.5 * self._beginning)
        if update is not None and estimate_tokens(self.characters + len(update) + len(ask)) <= longest:
            self._turns.append(("user", [update, ask] if update else [ask]))
            self._before = before
        else:
            self._begin(view, details, ask)
            self._before = None
        self._told = max((e.experiment for e in view.experiments), default=0)
        self._incumbent = view.incumbent

    def answered(self, text: str) -> None:
        """What the model said."""
        self._before = None
        self._turns.append(("assistant", [text or "(nothing)"]))

    def correct(self, text: str) -> None:
        """What was wrong with it."""
        self._turns.append(("user", [text]))

    def remark(self, text: str) -> None:
        """Something to say with the next question."""
        self._remarks.append(text)

    def shorten(self) -> bool:
        """Begin anew with half the history; False where the shortest beginning was too long."""
        hopeless = self._scale <= _SHORTEST and len(self._turns) == 1
        self._scale = max(_SHORTEST, self._scale / 2)
        self.forget()
        return not hopeless

    def forget(self) -> None:
        """The next turn begins anew."""
        self._turns, self._program, self._before = [], "", None

    @property
    def characters(self) -> int:
        """Of the whole prompt."""
        return len(self._program) + sum(len(part) for _, parts in self._turns for part in parts)

    @property
    def bytes(self) -> int:
        """Of the whole prompt, as sent."""
        return len(self._program.encode()) + sum(len(part.encode()) for _, parts in self._turns for part in parts)

    def system(self) -> list[dict[str, Any]]:
        """Program and rules, cached."""
        return [{"type": "text", "text": self._program, "cache_control": _CACHE}]

    def messages(self) -> list[dict[str, Any]]:
        """All turns; cached up to the machine's description, the last question but one, and the end."""
        users = [n for n, (role, _) in enumerate(self._turns) if role == "user"]
        marked = {(users[0], 0), *((n, len(self._turns[n][1]) - 1) for n in users[-2:])}
        return [
            {
                "role": role,
                "content": [
                    {"type": "text", "text": part, **({"cache_control": _CACHE} if (n, at) in marked else {})}
                    for at, part in enumerate(parts)
                ],
            }
            for n, (role, parts) in enumerate(self._turns)
        ]

    def text(self) -> str:
        """The whole prompt as a person reads it."""
        parts = [self._program, *("\n\n".join([f"[{role}]", *parts]) for role, parts in self._turns)]
        return "\n\n".join(parts) + "\n"

    def _take_back(self) -> None:
        """A question that was never answered cannot be followed by another."""
        if not self._turns or self._turns[-1][0] != "user":
            return
        if self._before is not None:
            length, self._incumbent, self._told = self._before
            self._turns = self._turns[:length]
        elif len(self._turns) > 1:  # a correction: what was asked before it is known
            self._turns.pop()
        else:
            self.forget()

    def _begin(self, view: View, details: Mapping[int, str], ask: str) -> None:
        self._program = prompt.program(view)
        last = "\n".join(f"### Results of #{number}\n{text}" for number, text in sorted(details.items())[-2:] if text)
        known = [prompt.belief(view), history.table(view, self._scale), prompt.asset(view)]
        self._turns = [("user", [prompt.machine(view), "\n\n".join(known), *([f"## The last results\n{last}"] if last else []), ask])]
        self._beginning = estimate_tokens(self.characters)

    def _update(self, view: View, details: Mapping[int, str], fresh: Sequence[Any]) -> str | None:
        """What happened since the last turn; None where it takes a beginning to tell."""
        runs = history.runs_by_experiment(view.runs)
        parts = []
        for e in fresh:
            text = history.row(e, view, runs, whole=True)
            if e.verdict in history.KEPT:
                if len(e.diff.splitlines()) > _DIFF_LINES:
                    return None
                text += f"\nIt is the incumbent now. What it changed:\n{e.diff.rstrip()}"
            detail = details.get(e.experiment)
            parts.append(f"{text}\n{detail}" if detail and (e.agent != "search" or e.verdict not in history.KEPT) else text)
        kept = [e.experiment for e in fresh if e.verdict in history.KEPT]
        if view.incumbent != self._incumbent and (not kept or kept[-1] != view.incumbent):
            return None
        if not parts:
            return ""
        parts.append(
            f"The incumbent is #{view.incumbent}" + (f", mean {view.incumbent_score:.4f}." if view.incumbent_score is not None else ".")
        )
        return "## Since then\n" + "\n".join(parts)


def estimate_tokens(characters: int) -> int:
    """Tokens of a text of this length."""
    return int(characters / _CHARACTERS_PER_TOKEN) + 1
