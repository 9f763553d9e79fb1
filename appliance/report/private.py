"""What leaves a night before it is published, and a list of it for the page.

Goes whole: device identity, process ids, logs, the agent's options. Goes where it stands in a text: keys, paths of the machine, addresses.
A pattern finds what looks like one; the list on the page says how many, so that a reader of the list can tell what to look at again.
"""

import re
from collections import Counter
from typing import Any, Final

import msgspec

from appliance.records import Device, Experiment, Night, NightPlan, NightState, Profile, Run

_PATTERN: Final = re.compile(
    r"(?P<key>\b(?:sk|pk|hf|ghp|gho|ghs|glpat|github_pat|xox[abprs]|AKIA|AIza)[-_]?[A-Za-z0-9_-]{16,})"
    r"|(?P<credential>(?<=://)[^\s/@:]{1,80}:[^\s/@]{1,120}@)"
    r"|(?P<secret>(?i:(?<=token=)(?<!per_token=)|(?<=password=)|(?<=api_key=)|(?<=bearer ))[^\s\"'&]{6,})"
    r"|(?P<mail>[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{2,63})+)"
    r"|(?P<path>(?<![\w.<])(?:/(?:home|root|Users|mnt|media|srv|opt|tmp|var|work|workspace|scratch|data|Volumes|private)"
    r"(?:/[^\s\"'<>:,;)\]}]*)|[A-Za-z]:\\[^\s\"'<>:,;)]+|~/[^\s\"'<>:,;)]+))"
    r"|(?P<address>(?<![\d.])(?!127\.0\.0\.1|0\.0\.0\.0)(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\d.]))"
)
_NAMES: Final = {
    "key": "a key",
    "credential": "a credential in an address",
    "secret": "a secret",
    "mail": "a mail address",
    "path": "a path of the machine",
    "address": "a network address",
}


class _Scrub:
    def __init__(self) -> None:
        self.found: Counter[str] = Counter()

    def _replace(self, match: re.Match[str]) -> str:
        kind = match.lastgroup or "secret"
        self.found[kind] += 1
        return f"<{_NAMES[kind].split(' ', 1)[1]} left out>"

    def text(self, value: str) -> str:
        return _PATTERN.sub(self._replace, value)

    def maybe(self, value: str | None) -> str | None:
        return None if value is None else self.text(value)

    def any(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.text(str(k)): self.any(v) for k, v in value.items()}
        return [self.any(v) for v in value] if isinstance(value, list | tuple) else value


def stripped(night: Night) -> tuple[Night, list[str]]:
    """The night without what is private, and one line per sort of thing that was left out."""
    scrub = _Scrub()
    logs = sum(bool(r.log_tail) for r in night.runs)
    plan = _plan(night.plan, scrub)
    public = Night(
        plan=plan,
        state=_state(night.state, scrub),
        runs=[_run(r, scrub) for r in night.runs],
        experiments=[_experiment(e, scrub) for e in night.experiments],
        assets={sha: {name: scrub.text(text) for name, text in files.items()} for sha, files in night.assets.items()},
    )
    lines = []
    if night.plan.device.uuid or night.plan.device.processes:
        lines.append("the device's UUID and the process ids on it")
    if night.plan.agent_options:
        lines.append("the agent's options")
    if logs:
        lines.append(f"the logs of {logs} run{'s' if logs != 1 else ''}")
    lines += [f"{_NAMES[kind]}, {count} time{'s' if count != 1 else ''}" for kind, count in sorted(scrub.found.items())]
    return public, lines


def _device(device: Device, scrub: _Scrub) -> Device:
    refused = {name: scrub.text(text) for name, text in device.refused.items()}
    return msgspec.structs.replace(device, uuid=None, processes=None, refused=refused)


def profile(given: Profile, scrub: _Scrub | None = None) -> Profile:
    """A profile without what names a machine."""
    scrub = scrub or _Scrub()
    measurement = given.measurement
    if measurement is not None:
        named = {k: v for k, v in measurement.device.items() if k not in {"uuid", "processes", "refused", "hostname"}}
        measurement = msgspec.structs.replace(
            measurement, device=scrub.any(named), telemetry=[], environment=scrub.any(measurement.environment)
        )
    return msgspec.structs.replace(given, measurement=measurement, notes=[scrub.text(n) for n in given.notes])


def _plan(plan: NightPlan, scrub: _Scrub) -> NightPlan:
    return msgspec.structs.replace(
        plan,
        device=_device(plan.device, scrub),
        profile=profile(plan.profile, scrub),
        agent_options={},
        command=[scrub.text(c) for c in plan.command],
        versions=scrub.any(plan.versions),
    )


def _state(state: NightState, scrub: _Scrub) -> NightState:
    return msgspec.structs.replace(
        state,
        ended_why=scrub.maybe(state.ended_why),
        calibrations=scrub.any(state.calibrations),
        attribution=scrub.any(state.attribution),
        cuts=scrub.any(state.cuts),
        agent=scrub.any(state.agent),
    )


def _run(run: Run, scrub: _Scrub) -> Run:
    return msgspec.structs.replace(run, log_tail="", detail=scrub.maybe(run.detail), suspicious=[scrub.text(s) for s in run.suspicious])


def _experiment(e: Experiment, scrub: _Scrub) -> Experiment:
    return msgspec.structs.replace(e, hypothesis=scrub.text(e.hypothesis), diff=scrub.text(e.diff), reason=scrub.maybe(e.reason))
