"""The pages in a real browser: Chromium, headless, offline. Skipped where there is none."""

import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import report_nights as nights

from appliance import report
from appliance.report.live import Server

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
api = pytest.importorskip("playwright.sync_api")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with api.sync_playwright() as playwright:
        found = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-component-update"]
        )
        yield found
        found.close()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return report.write(nights.a_night(40), tmp_path_factory.mktemp("page") / "report.html")


class Opened:
    """A page and all that it said or asked for."""

    def __init__(self, browser: Any, address: str, **options: Any) -> None:
        self.context = browser.new_context(offline=address.startswith("file:"), **options)
        self.page = self.context.new_page()
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(address)

    def __enter__(self) -> Any:
        return self.page

    def __exit__(self, *failed: object) -> None:
        self.context.close()
        if failed[0] is None:
            assert self.said == []


def first_numbers(page: Any, count: int = 5) -> list[str]:
    return list(page.locator("#table tbody:visible > tr > td:first-child").all_inner_texts()[:count])


def test_the_page_asks_for_nothing_but_itself_and_says_nothing(browser: Any, file: Path) -> None:
    opened = Opened(browser, file.as_uri())
    with opened as page:
        page.wait_for_timeout(200)
        assert opened.asked == [file.as_uri()]
        assert page.title().startswith("16") or "lower" in page.title()


def test_the_table_sorts_filters_and_opens(browser: Any, file: Path) -> None:
    with Opened(browser, file.as_uri()) as page:
        assert first_numbers(page) == ["1", "2", "3", "4", "5"]
        page.get_by_role("button", name="No.").click()
        assert first_numbers(page, 2) == ["40", "39"]
        page.get_by_role("button", name="Difference").click()
        assert page.locator("th[aria-sort=ascending]").inner_text() == "Difference"
        shown = page.locator("#table tbody").first.get_attribute("data-d")
        assert float(shown) == min(
            float(d) for d in page.eval_on_selector_all("#table tbody", "b => b.map(x => x.dataset.d).filter(Boolean)")
        )
        page.get_by_label("Verdict").select_option("kept")
        assert set(page.locator("#table tbody:visible .v").all_inner_texts()) == {"kept"}
        page.get_by_label("Verdict").select_option("")
        page.get_by_label("Find").fill("warm-down")
        assert page.locator("#table tbody:visible").count() < 40
        assert " of 40" in page.locator("#found").inner_text()
        summary = page.locator("#table tbody:visible summary").first
        summary.click()
        assert page.locator("#table tbody:visible pre.diff").first.is_visible()


@pytest.mark.long
def test_a_mark_of_the_staircase_opens_its_experiment(browser: Any, file: Path) -> None:
    with Opened(browser, file.as_uri()) as page:
        page.locator("#marks use[href='#m-kept']").last.dispatch_event("click")
        assert page.locator("#table details[open]").count() == 1


def test_the_command_is_copied(browser: Any, file: Path) -> None:
    with Opened(browser, file.as_uri(), permissions=["clipboard-read", "clipboard-write"]) as page:
        page.get_by_role("button", name="Copy").first.click()
        page.get_by_role("button", name="Copied").wait_for()
        assert page.evaluate("navigator.clipboard.readText()") == page.locator(".command code").first.inner_text()


@pytest.mark.long
def test_the_keyboard_alone_reaches_sorts_and_opens(browser: Any, file: Path) -> None:
    with Opened(browser, file.as_uri()) as page:
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        page.get_by_role("button", name="No.").focus()
        page.keyboard.press("Enter")
        assert first_numbers(page, 1) == ["40"]
        page.locator("#table summary").first.focus()
        page.keyboard.press("Space")
        assert page.locator("#table details[open]").count() == 1
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"


@pytest.mark.long
def test_without_script_everything_is_there(browser: Any, file: Path) -> None:
    with Opened(browser, file.as_uri(), java_script_enabled=False) as page:
        assert page.locator("#table tbody").count() == 40
        assert not page.locator("#filter").is_visible()
        assert page.locator(".copy:visible").count() == 0
        page.locator("#table summary").first.click()
        assert page.locator("#table pre.diff").first.is_visible()


@pytest.mark.long
@pytest.mark.parametrize("width", [360, 768, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_width_makes_the_page_scroll_sideways(browser: Any, file: Path, width: int, scheme: str) -> None:
    with Opened(browser, file.as_uri(), viewport={"width": width, "height": 800}, color_scheme=scheme) as page:
        page.get_by_role("button", name="Open all").click()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (sum(int(v) for v in paper[4:-1].split(",")) > 600) == (scheme == "light")


@pytest.mark.long
def test_it_prints_on_paper_of_its_own_width(browser: Any, file: Path) -> None:
    with Opened(browser, file.as_uri()) as page:
        assert page.pdf(format="A4").startswith(b"%PDF")
        page.emulate_media(media="print")
        page.set_viewport_size({"width": 680, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= 680
        assert page.locator("button:visible").count() == 0


def test_hostile_text_runs_nothing(browser: Any, tmp_path: Path) -> None:
    import msgspec

    night = nights.a_night(5)
    bad = "<img src=x onerror=\"console.log('ran')\"></script><script>console.log('ran')</script>"
    night = msgspec.structs.replace(
        night, experiments=[msgspec.structs.replace(e, hypothesis=bad, diff=f"+{bad}", agent=bad) for e in night.experiments]
    )
    target = report.write(night, tmp_path / "bad.html")
    with Opened(browser, target.as_uri()) as page:
        page.get_by_role("button", name="Open all").click()
        page.wait_for_timeout(100)


@pytest.mark.long
def test_the_live_page_takes_over_what_is_new_and_keeps_what_is_open(browser: Any) -> None:
    now = [nights.with_state(nights.a_night(6), ended_at=None, phase="search", confirmation=None)]
    with Server(lambda: now[0], every_s=0, share=math.inf).start() as server, Opened(browser, server.address.url) as page:
        page.locator("#e3 summary").click()
        page.get_by_text("live", exact=True).wait_for()
        page.wait_for_timeout(300)
        now[0] = nights.a_night(9)
        page.locator("#e9").wait_for(timeout=15_000)
        assert page.locator("#e3 details").get_attribute("open") is not None
        page.get_by_role("button", name="No.").click()
        assert first_numbers(page, 1) == ["9"]


@pytest.mark.long
def test_the_site_can_be_walked_from_its_folder(browser: Any, tmp_path: Path) -> None:
    report.publish(tmp_path / "site", [nights.a_night(8, seed=1), nights.a_night(8, seed=2)])
    with Opened(browser, (tmp_path / "site" / "index.html").as_uri(), viewport={"width": 360, "height": 800}) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        page.get_by_role("link", name="NVIDIA GB10").click()
        page.get_by_role("link", name="14 March 2026").click()
        assert page.locator("h1").is_visible()
        page.get_by_role("link", name="All nights").click()
        assert page.locator("h1").inner_text().startswith("What each device wants")


@pytest.mark.long
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_axe_finds_no_violation_on_any_page(browser: Any, tmp_path: Path, scheme: str, width: int) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    one, two = nights.a_night(30, seed=1), nights.a_night(30, seed=2, confirm="not_confirmed")
    report.publish(tmp_path / "site", [one, two])
    report.write_text(report.compare([one, two]), tmp_path / "compare.html")
    board = {"vendor": "a", "name": "b", "roofline": {"peak_flops": 1e12, "bandwidth_bytes_per_s": 1e11}}
    report.write_text(report.profile_index({"boards": [board]}), tmp_path / "profiles.html")
    report.write(nights.a_night(20, confirm="not_run"), tmp_path / "report.html")
    for file in sorted(tmp_path.rglob("*.html")):
        with Opened(browser, file.as_uri(), color_scheme=scheme, viewport={"width": width, "height": 900}, bypass_csp=True) as page:
            for details in page.locator("details").all()[:6]:
                details.evaluate("d => { d.open = true }")
            found = axe.Axe().run(page).response["violations"]
            assert [(v["id"], v["nodes"][0]["html"][:160]) for v in found] == [], file.name
