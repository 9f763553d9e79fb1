"""The page of a night: what it says first, that it is pure, inert, small, and that every kind of night renders."""

import html
import math
import re
from datetime import datetime, timedelta
from html.parser import HTMLParser

import msgspec
import pytest
import report_nights as nights

from appliance import report
from appliance.records import Confirmation, Estimate, Night, NightState, Reason, Telemetry, Verdict
from appliance.report import staircase, templates
from appliance.report.facts import Facts

VOID = {"meta", "input", "br", "link"}


class Outline(HTMLParser):
    """Elements, ids, references and the first sentence of a page; complains about what does not close."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.stack: list[str] = []
        self.ids: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: dict[str, str] = {}
        self.unclosed: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if dict(attrs).get("id"):
            self.ids.append(str(dict(attrs)["id"]))
        if tag not in VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if dict(attrs).get("id"):
            self.ids.append(str(dict(attrs)["id"]))

    def handle_endtag(self, tag: str) -> None:
        if not self.stack or self.stack.pop() != tag:
            self.unclosed.append(tag)

    def handle_data(self, data: str) -> None:
        for tag in set(self.stack):
            self.text[tag] = self.text.get(tag, "") + data


def outline(page: str) -> Outline:
    parser = Outline()
    parser.feed(page)
    parser.close()
    return parser


def verdict(night: Night) -> str:
    return " ".join(outline(report.render(night)).text["h1"].split()).replace("\u202f", " ")


@pytest.fixture(scope="module")
def night() -> Night:
    return nights.a_night(40)


def empty(night: Night) -> Night:
    return msgspec.structs.replace(
        night, runs=[], experiments=[], state=NightState(phase="ended", ended_at=night.state.ended_at, ended_why="interrupted")
    )


def all_crashed(night: Night) -> Night:
    failed = [
        msgspec.structs.replace(r, status="failed", score=None, scores=[], reason="crash", curve=[]) if r.experiment else r
        for r in night.runs
        if r.kind != "confirm"
    ]
    decided = [
        msgspec.structs.replace(e, verdict="failed", incumbent=0, difference=None, interval_low=None, interval_high=None)
        for e in night.experiments
    ]
    state = msgspec.structs.replace(night.state, incumbent=0, confirmation=Confirmation(status="no_winner"), attribution=[])
    return msgspec.structs.replace(night, runs=failed, experiments=decided, state=state)


def test_the_first_sentence_has_the_number_its_interval_and_whether_it_held(night: Night) -> None:
    said = verdict(night)
    number, where = r"\d+\.\d", "bits per byte than the reference on data nobody selected on"
    assert re.match(rf"{number} % lower {where} \(95 % interval {number} to {number} %\): it held on test", said)
    assert "on transfer" in said


def test_a_winner_that_does_not_survive_says_so_in_the_first_words() -> None:
    assert verdict(nights.a_night(30, confirm="not_confirmed")).startswith("Did not survive confirmation")


def test_a_winner_that_was_not_confirmed_says_so_in_the_first_words() -> None:
    said = verdict(nights.a_night(30, confirm="not_run"))
    assert said.startswith("Not confirmed")
    assert "search's own claim" in said
    assert "did not fit" in said


def test_transfer_that_does_not_hold_is_part_of_the_first_sentence(night: Night) -> None:
    confirmation = night.state.confirmation
    assert confirmation is not None
    worse = [msgspec.structs.replace(e, holds=False) if e.split.startswith("transfer") else e for e in confirmation.estimates]
    assert "held on test, but not on transfer" in verdict(
        nights.with_state(night, confirmation=msgspec.structs.replace(confirmation, estimates=worse))
    )


def test_a_gain_in_a_metric_where_higher_is_better_is_called_higher() -> None:
    task = nights.task()
    task = msgspec.structs.replace(task, metric=msgspec.structs.replace(task.metric, direction="higher", name="accuracy", unit="share"))
    night = nights.a_night(20)
    confirmation = night.state.confirmation
    assert confirmation is not None
    up = Estimate(
        split="test",
        baseline_mean=0.5,
        winner_mean=0.6,
        difference=0.1,
        interval_low=0.08,
        interval_high=0.12,
        relative=0.2,
        relative_low=0.16,
        relative_high=0.24,
        pairs=4,
        method="t",
        holds=True,
    )
    night = nights.with_state(nights.with_plan(night, task=task), confirmation=msgspec.structs.replace(confirmation, estimates=[up]))
    assert verdict(night).startswith("20.0 % higher accuracy")


def test_a_baseline_of_exactly_zero_gets_a_difference_in_the_metrics_unit(night: Night) -> None:
    confirmation = night.state.confirmation
    assert confirmation is not None
    zero = [msgspec.structs.replace(e, relative=None, relative_low=None, relative_high=None) for e in confirmation.estimates]
    said = verdict(nights.with_state(night, confirmation=msgspec.structs.replace(confirmation, estimates=zero)))
    assert "bits/byte lower" in said


def test_an_empty_night_a_night_of_one_and_a_night_of_crashes_say_what_they_are(night: Night) -> None:
    assert verdict(empty(night)).startswith("Nothing ran")
    assert verdict(all_crashed(night)).startswith("No result")
    one = nights.a_night(1)
    assert "experiment" in outline(report.render(one)).text["main"]
    kept_none = nights.with_state(night, incumbent=0, incumbent_sha256=None, confirmation=None, attribution=[])
    assert verdict(kept_none).startswith("No gain found: none of 40 experiments")


def test_an_imported_night_is_unverified_before_any_number(night: Night) -> None:
    page = report.render(nights.with_plan(night, imported=True, started_at="", unknown=["hours", "seed", "started_at", "preset.budget_s"]))
    assert " ".join(outline(page).text["h1"].split()).startswith("Imported, unverified")
    assert "held with fresh seeds" not in outline(page).text["main"].split("How to read")[0]


def section(page: str, name: str) -> str:
    """The text of one section, in one line."""
    text = re.search(rf'aria-labelledby="{name}".*?</section>', page, re.DOTALL)
    assert text is not None
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", text[0].split(">", 1)[1])).split())


def test_a_night_without_time_for_its_confirmation_says_how_to_have_it_now(night: Night) -> None:
    assert "appliance confirm" not in report.render(night)
    assert "appliance confirm nights/" in report.render(nights.a_night(20, confirm="not_run"))


def test_what_an_imported_file_does_not_tell_is_unknown_and_never_nothing(night: Night) -> None:
    bare = ("budget_s", "wall_s", "startup_s", "create_s", "finish_s", "evaluate_s")
    runs = [msgspec.structs.replace(r, started_at="", telemetry=Telemetry(), phases={}, **dict.fromkeys(bare)) for r in night.runs]
    plan = msgspec.structs.replace(
        night.plan, imported=True, started_at="", agent="not told", unknown=["hours", "preset.budget_s", "device"]
    )
    page = report.render(msgspec.structs.replace(night, plan=plan, runs=runs))
    assert "Rejected, suspicious, invalid, interrupted unknown" in section(page, "integrity")
    assert re.findall(r"\w+ 0 (?:runs|nights)", section(page, "integrity")) == ["Failed 0 runs"]  # that a file does tell
    assert section(page, "clock").endswith(f"40 experiments from {len(runs)} runs; what their time went into is not told.")
    assert section(page, "cost") == "Cost and energy Energy of the device unknown Cost of the agent unknown"
    assert "In the same time the reference" in section(page, "wants")


ACCOUNT = {
    "model": "some-model",
    "rate": {"model": "some-model", "price": {"input": 3.0}, "date": "2026-03-01", "source": "the shipped table"},
    "max_cost_usd": 5.0,
    "calls": 31,
    "tokens_in": 412_000,
    "tokens_cached": 380_000,
    "tokens_out": 51_000,
    "cost_usd": 2.4,
    "cost_unsure_usd": 0.2,
    "answers": {"good": 28, "no_match": 3},
    "given_up": None,
    "proposals": {"own": 30, "filled": 2, "rebased": 4},
}


def test_what_the_agent_cost_stands_beside_what_came_of_it(night: Night) -> None:
    experiments = [msgspec.structs.replace(e, agent="claude", cost_usd=0.05 if e.experiment <= 30 else None) for e in night.experiments]
    kept = sum(e.verdict.startswith("kept") for e in experiments[:30])
    paid = nights.with_plan(nights.with_state(msgspec.structs.replace(night, experiments=experiments), agent=ACCOUNT), agent="claude")
    said = section(report.render(paid), "cost").replace("\u202f", " ")
    assert "Proposals 30 by the model, 2 by the search while the model was silent, 4 of the model's moved to a new incumbent" in said
    assert "Calls of the model 31; answers: good 28, no match 3" in said
    assert "Tokens of the agent 412 000 in, 51 000 out, 380 000 from its cache" in said
    assert "US$ 2.40, at most US$ 2.60 with calls that ended without telling theirs; the cap was US$ 5.00" in said
    assert "Prices of 2026-03-01" in said
    assert "Cost of an experiment US$ 0.080, mean of the 30" in said
    assert kept > 0
    assert f"Cost of a kept change US$ {2.4 / kept:.2f}, {kept} kept" in said


def test_an_account_that_is_nonsense_is_no_number_and_no_error(night: Night) -> None:
    nonsense = dict(zip(ACCOUNT, ("<b>", [], math.nan, True, -1, "7", {}, math.inf, None, 3, 5, ["x"]), strict=True))
    page = report.render(nights.with_plan(nights.with_state(night, agent=nonsense), agent="claude"))
    assert "Cost of the agent unknown" in section(page, "cost")
    assert not re.search(r"\b(nan|inf|None)\b", section(page, "cost"))


def test_what_an_agent_gave_up_on_is_published_without_its_paths(night: Night) -> None:
    night = nights.with_state(night, agent={**ACCOUNT, "given_up": "no answer from /home/me/model.sock"})
    assert "/home/me" in section(report.render(night), "cost")
    public, left_out = report.stripped(night)
    assert "/home/me" not in section(report.render(public), "cost")
    assert any("path" in line for line in left_out)


def test_a_night_cut_short_shows_where_and_still_renders(night: Night) -> None:
    cut = nights.with_state(night, cuts=[{"at": night.runs[20].started_at, "why": "killed"}], confirmation=None, ended_why="interrupted")
    assert 'class="cut"' in report.render(cut)
    running = nights.with_state(night, ended_at=None, phase="search", confirmation=None)
    assert "so far" in verdict(running)


def test_failures_of_the_sandbox_are_told_apart_from_those_of_an_asset(night: Night) -> None:
    assert "Sandbox failures" not in report.render(night)
    failing = msgspec.structs.replace(night, runs=[msgspec.structs.replace(night.runs[0], sandbox_failures=2), *night.runs[1:]])
    assert "2 times" in section(report.render(failing), "integrity").partition("Sandbox failures")[2][:200]


def test_what_came_days_after_the_night_is_told_apart_and_moves_nothing_in_it(night: Night) -> None:
    before, after = report.render(night), report.render(nights.days_later(night))
    before_stairs, after_stairs = (staircase.build(Facts(n)) for n in (night, nights.days_later(night)))
    assert (after_stairs.marks, after_stairs.x_ticks) == (before_stairs.marks, before_stairs.x_ticks)
    assert section(after, "stairs").count("Not drawn: 6 runs made after the night.") == 1
    said = section(after, "clock").replace("\u202f", " ")
    line = "Not counted here, because they came after the night: 4 runs of confirmation and 2 runs of attribution, 31 min in all."
    assert said == f"{section(before, 'clock')} {line}".replace("\u202f", " ")
    assert section(after, "verdict") == section(before, "verdict")
    assert "Energy after the night" in section(after, "cost")


def test_a_winner_without_one_of_its_changes_is_no_run_of_that_change(night: Night) -> None:
    later = nights.days_later(night)
    told = "out of memory without it"
    failed = msgspec.structs.replace(later.runs[-1], status="failed", reason=Reason.OUT_OF_MEMORY, score=None, detail=told, log_tail=told)
    page = report.render(msgspec.structs.replace(later, runs=[*later.runs[:-1], failed]))
    assert told not in section(page, "experiments")
    winner = night.experiments[night.state.incumbent - 1]
    assert Facts(later).counted(winner) == Facts(night).counted(winner)


def test_the_screening_run_that_opened_the_door_is_not_in_the_claim(night: Night) -> None:
    facts = Facts(night)
    assert facts.winner is not None
    kinds = {r.kind for r in facts.runs_of[facts.winner.experiment]}
    assert "screen" in kinds
    assert "screen" not in {r.kind for r in facts.counted(facts.winner)}
    unlucky = next(e for e in night.experiments if {r.kind for r in facts.runs_of[e.experiment]} == {"screen"})
    assert {r.kind for r in facts.counted(unlucky)} <= {"screen"}


def test_the_clock_stands_still_between_a_cut_and_its_resumption(night: Night) -> None:
    cut = datetime.fromisoformat(night.runs[20].started_at) - timedelta(seconds=1)

    def resumed(time: str, by: timedelta = timedelta(days=2)) -> str:
        at = datetime.fromisoformat(time)
        return (at + by if at > cut else at).isoformat()

    gap = {"at": cut.isoformat(), "resumed_at": (cut + timedelta(days=2)).isoformat(), "why": "killed"}
    late = msgspec.structs.replace(
        nights.with_state(night, cuts=[gap], ended_at=resumed(night.state.ended_at or "")),
        runs=[msgspec.structs.replace(r, started_at=resumed(r.started_at)) for r in night.runs],
        experiments=[msgspec.structs.replace(e, decided_at=resumed(e.decided_at)) for e in night.experiments],
    )
    assert section(report.render(late), "clock") == section(report.render(night), "clock")
    assert staircase.build(Facts(late)).marks == staircase.build(Facts(night)).marks
    assert len(staircase.build(Facts(late)).cuts) == 1


def test_a_run_that_was_interrupted_tells_no_time_and_the_axis_stays_in_hours(night: Night) -> None:
    last = msgspec.structs.replace(night.runs[-1], status="interrupted", reason=Reason.INTERRUPTED, score=None, started_at="")
    stairs = staircase.build(Facts(msgspec.structs.replace(night, runs=[*night.runs[:-1], last])))
    assert stairs.x_title == "hours since the start"
    assert stairs.counts["failed"] == staircase.build(Facts(night)).counts.get("failed", 0) + 1


def test_a_change_that_could_not_be_measured_says_why(night: Night) -> None:
    settled, unsettled = night.state.attribution[0], {**night.state.attribution[1], "carries": False, "reading": "not settled"}
    stuck = {**dict.fromkeys(settled), "experiment": 3, "change": "half", "runs": 0, "note": "cannot be taken out alone"}
    said = section(report.render(nights.with_state(night, attribution=[settled, unsettled, stuck])), "attribution")
    assert "36.7 % carries gain" in said.replace("\u202f", " ")
    assert "not settled" in said
    assert said.endswith("3 half – – 0 cannot be taken out alone")
    assert "a loss of 0.005 bits/byte or more can be ruled out" in said


def test_suspicious_runs_are_counted_named_and_marked(night: Night) -> None:
    victim = next(r for r in night.runs if r.kind == "screen" and r.status == "ok" and len(Facts(night).runs_of[r.experiment]) == 1)
    doubted = {"suspicious": ["steps_beyond_clock"], "reason": Reason.SUSPICIOUS, "score": None}
    detail = "steps_beyond_clock: steps is 1e+09, at most 1e+06 is possible"
    first = msgspec.structs.replace(victim, **doubted, status="invalid", detail=detail)
    again = msgspec.structs.replace(victim, **doubted, status="rejected", detail=detail, run=len(night.runs) + 1)
    runs = [first if r.run == victim.run else r for r in night.runs] + [again]
    experiments = [
        msgspec.structs.replace(e, verdict=Verdict.REJECTED, reason="suspicious") if e.experiment == victim.experiment else e
        for e in night.experiments
    ]
    page = report.render(msgspec.structs.replace(night, runs=runs, experiments=experiments))
    said = section(page, "integrity")
    before = section(report.render(night), "integrity")
    assert "steps beyond clock" not in before
    assert "steps beyond clock 2" in said
    assert f"run {victim.run} (screen): suspicious, so repeated once with another seed: {detail}" in said
    assert f"run {again.run} (screen): suspicious again, so rejected: {detail}" in said
    assert page.count('href="#m-suspicious"') == 2  # the mark and the legend


def test_the_phases_of_a_run_stand_in_plain_words(night: Night) -> None:
    said = section(report.render(night), "clock").replace("\u202f", " ")
    shown = "Sandbox made 0.30 s 0.1 % Imports, before the asset's own code 1.1 s 0.3 % The asset sets itself up 6 s"
    assert shown in said
    by_standby = [msgspec.structs.replace(r, phases={**r.phases, "create": 1.4, "import": 0.0}) if r.phases else r for r in night.runs]
    said = section(report.render(msgspec.structs.replace(night, runs=by_standby)), "clock").replace("\u202f", " ")
    assert "Sandbox made 1.4 s 0.4 % The asset sets itself up" in said
    older = [msgspec.structs.replace(r, phases={}) for r in night.runs]
    assert "What one run goes through" not in section(report.render(msgspec.structs.replace(night, runs=older)), "clock")


def test_the_same_record_gives_the_same_bytes_in_whatever_order_its_rows_come(night: Night) -> None:
    turned = msgspec.structs.replace(night, runs=night.runs[::-1], experiments=night.experiments[::-1])
    again = msgspec.json.decode(msgspec.json.encode(night), type=Night)
    assert report.render(night) == report.render(turned) == report.render(again)


def test_every_element_closes_every_id_is_its_own_and_every_reference_within_the_page_exists(night: Night) -> None:
    for one in (night, empty(night), all_crashed(night), nights.a_night(20, confirm="not_run")):
        found = outline(report.render(one))
        assert found.unclosed == []
        assert found.stack == []
        assert len(found.ids) == len(set(found.ids))
        for _, attributes in found.tags:
            for name in ("href", "aria-labelledby", "aria-describedby"):
                for target in (attributes.get(name) or "").split():
                    target = target.removeprefix("#") if name == "href" else target
                    assert target in found.ids, target


def test_nothing_is_loaded_from_anywhere(night: Night) -> None:
    found = outline(report.render(night))
    for tag, attributes in found.tags:
        assert tag not in {"img", "iframe", "link", "object", "embed", "base", "form"} or tag == "form"
        for name in ("src", "href", "action", "poster", "srcset"):
            assert not attributes.get(name) or str(attributes[name]).startswith("#")
    policy = next(a["content"] for t, a in found.tags if t == "meta" and a.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-")
    assert "url(" not in templates.asset("style.css")


def test_hostile_strings_everywhere_stay_text() -> None:
    bad = (
        "</script><script>alert(1)</script><img src=x onerror=alert(1)>\"'`{{7*7}}\x00\x1b[31m\u202egnp.exe\ud800 &amp; javascript:alert(1)"
    )
    night = nights.a_night(12)
    experiments = [
        msgspec.structs.replace(e, hypothesis=bad, diff=f"--- {bad}\n+++ {bad}\n@@ {bad}\n-{bad}\n+{bad}\n", agent=bad, reason=bad)
        for e in night.experiments
    ]
    runs = [msgspec.structs.replace(r, log_tail=bad * 3, detail=bad, suspicious=[bad], torch=bad, driver=bad) for r in night.runs]
    task = msgspec.structs.replace(
        night.plan.task,
        metric=msgspec.structs.replace(night.plan.task.metric, name=bad, unit=bad),
        observables={bad + name: msgspec.structs.replace(o, label=bad, unit=bad) for name, o in night.plan.task.observables.items()},
        constants={bad + name: c for name, c in night.plan.task.constants.items()},
        asset=msgspec.structs.replace(night.plan.task.asset, files=[bad]),
    )
    device = msgspec.structs.replace(night.plan.device, name=bad, driver=bad)
    profile = msgspec.structs.replace(night.plan.profile, notes=[bad], peak_source=bad)
    plan = msgspec.structs.replace(
        night.plan,
        task=task,
        device=device,
        profile=profile,
        agent=bad,
        versions={bad: bad},
        command=[bad, bad],
        night_id=bad,
        parent_night=bad,
    )
    state = msgspec.structs.replace(
        night.state, ended_why=bad, attribution=[{"change": bad, bad: bad, "loss": "x"}], clock={bad: 3.0}, cuts=[{bad: bad}]
    )
    assets = {sha: {bad: text + bad} for sha, text in ((k, v["train.py"]) for k, v in night.assets.items())}
    page = report.render(Night(plan=plan, state=state, runs=runs, experiments=experiments, assets=assets))
    found = outline(page)
    assert [t for t, _ in found.tags].count("script") == 1
    assert "img" not in [t for t, _ in found.tags]
    assert not any(name.startswith("on") for _, attributes in found.tags for name in attributes)
    assert found.unclosed == []
    assert "7*7" in page
    assert not re.search("[\x00-\x08\x0b-\x1f\u202a-\u202e\ud800-\udfff]", page)
    page.encode("utf-8")
    assert html.escape("<script>") in page


def test_numbers_that_are_not_finite_are_shown_as_unknown(night: Night) -> None:
    runs = [
        msgspec.structs.replace(
            r, score=float("nan") if r.run % 7 == 0 else r.score, observables={"steps": float("inf")}, curve=[(1.0, math.nan, 2.0)] * 3
        )
        for r in night.runs
    ]
    page = report.render(msgspec.structs.replace(night, runs=runs))
    assert not re.search(r"[>\s\"](nan|inf|NaN|None)[<\s\"]", page)


def test_a_page_of_150_experiments_is_under_300_kb_and_one_of_1000_under_2_mb() -> None:
    assert len(report.render(nights.a_night(150)).encode()) <= 300 * 1024
    assert len(report.render(nights.a_night(1000)).encode()) <= 2048 * 1024


def test_long_diffs_and_logs_are_cut_to_fit_and_the_cut_is_said() -> None:
    night = nights.a_night(150)
    long = "--- a/x\n+++ b/x\n@@ -1 +1 @@\n" + "\n".join(f"+line {i} of a very long change" for i in range(900))
    experiments = [msgspec.structs.replace(e, diff=long, hypothesis="why " * 400) for e in night.experiments]
    runs = [msgspec.structs.replace(r, log_tail="noise\n" * 5000) for r in night.runs]
    page = report.render(msgspec.structs.replace(night, experiments=experiments, runs=runs))
    assert "more lines" in page
    assert len(page.encode()) < 420 * 1024


def test_script_and_style_are_small() -> None:
    assert len(templates.asset("report.js")) + len(templates.asset("live.js")) < 10_000
    assert len(templates.asset("style.css")) < 20_000


def test_a_written_page_replaces_the_old_one_and_leaves_nothing_else(tmp_path, night: Night) -> None:  # type: ignore[no-untyped-def]
    target = tmp_path / "report.html"
    target.write_text("old")
    assert report.write(night, target) == target
    assert target.read_text(encoding="utf-8") == report.render(night)
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_a_confirmation_with_too_few_pairs_is_not_called_holding(night: Night) -> None:
    confirmation = night.state.confirmation
    assert confirmation is not None
    short = msgspec.structs.replace(confirmation, status="not_run", reason="3 of 4 pairs on test fitted", shrinkage=0.0)
    page = report.render(nights.with_state(night, confirmation=short))
    assert "the confirmation fell short (3 of 4 pairs on test fitted)" in page
    assert "too few to confirm" in page
    assert ">holds<" not in page
    assert "nothing of it was lost" not in page


def test_an_interval_of_no_width_does_not_make_up_digits() -> None:
    from appliance.report import numbers

    assert numbers.with_interval(-0.17030674123, -0.17030674123, -0.17030674123) == ("−0.1703", "−0.1703 to −0.1703")
    assert numbers.with_interval(-0.0626, -0.0675, -0.0576) == ("−0.0626", "−0.0675 to −0.0576")
    assert numbers.with_interval(-3.26, -3.9, -2.6) == ("−3.26", "−3.90 to −2.60")
    assert numbers.percent(-0.2251, -0.24, -0.21, sign=True) == "−22.5\u202f%"
    assert numbers.ratio(1300, 93) == "14\u202f×"
    assert numbers.ratio(6.1e9, 128e9) == "1/21"
    assert numbers.scaled(92.3e12, "FLOP/s") == "92.3\u202fTFLOP/s"
    assert numbers.scaled(None, "B") == "–"
