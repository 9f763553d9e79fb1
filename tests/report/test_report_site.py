"""Publishing: relative links that exist, incremental, private things out and listed; comparison; the profile index."""

import json
from pathlib import Path

import msgspec
import pytest
import report_nights as nights
from test_report_page import outline

from appliance import paths, report
from appliance.errors import ApplianceError, UsageError
from appliance.records import Night


def on_h200(night: Night, seed: int) -> Night:
    device = msgspec.structs.replace(night.plan.device, name="NVIDIA H200", slug="nvidia-h200")
    return nights.with_plan(
        night, device=device, profile=nights.profile(device, 794e12, 4.1e12), night_id=f"20260401-000000-nvidia-h200-{seed:04x}"
    )


@pytest.fixture(scope="module")
def some() -> list[Night]:
    return [nights.a_night(14, seed=i, confirm=how) for i, how in enumerate(("confirmed", "not_run", "not_confirmed"))] + [
        on_h200(nights.a_night(14, seed=9), 9)
    ]


def test_every_link_of_a_site_is_relative_and_leads_somewhere(tmp_path: Path, some: list[Night]) -> None:
    done = report.publish(tmp_path / "site", some)
    pages = sorted((tmp_path / "site").rglob("*.html"))
    assert len(pages) == 1 + 2 + 4
    for page in pages:
        for tag, attributes in outline(page.read_text(encoding="utf-8")).tags:
            link = attributes.get("href")
            if tag == "a" and link and not link.startswith("#"):
                assert not link.startswith(("/", "http"))
                assert (page.parent / link.split("#")[0]).resolve().is_file(), f"{page}: {link}"
    assert done.index == tmp_path / "site" / "index.html"


def test_index_json_says_what_the_pages_say(tmp_path: Path, some: list[Night]) -> None:
    report.publish(tmp_path / "site", some, reproduced={some[0].plan.night_id: "reproduced"})
    index = json.loads((tmp_path / "site" / "index.json").read_text())
    assert index["format_version"] == 1
    assert {d["slug"] for d in index["devices"]} == {"nvidia-gb10", "nvidia-h200"}
    by_id = {n["night_id"]: n for n in index["nights"]}
    first = by_id[some[0].plan.night_id]
    assert first["status"] == "confirmed"
    assert first["held"] is True
    assert first["relative"] < first["relative_high"] < 0
    assert first["reproduced"] == "reproduced"
    assert by_id[some[1].plan.night_id]["held"] is False
    assert next(d for d in index["devices"] if d["slug"] == "nvidia-gb10")["best"] == some[0].plan.night_id


def test_publishing_again_reads_no_night_and_writes_no_page(tmp_path: Path, some: list[Night]) -> None:
    read: list[str] = []

    def source(night: Night) -> report.Source:
        def load() -> Night:
            read.append(night.plan.night_id)
            return night

        return report.Source(night.plan.night_id, "one", load)

    site = tmp_path / "site"
    assert len(report.publish(site, [source(n) for n in some]).made) == 4
    before = {p: p.stat().st_mtime_ns for p in site.rglob("*") if p.is_file()}
    again = report.publish(site, [source(n) for n in some])
    assert again.made == []
    assert len(again.kept) == len(read) == 4
    assert before == {p: p.stat().st_mtime_ns for p in site.rglob("*") if p.is_file()}


def test_a_night_that_changed_is_made_again_and_the_others_stay(tmp_path: Path, some: list[Night]) -> None:
    site = tmp_path / "site"
    report.publish(site, some)
    changed = nights.with_state(some[1], ended_why="the clock was spent twice")
    assert report.publish(site, [changed]).made == [some[1].plan.night_id]
    assert len(json.loads((site / "index.json").read_text())["nights"]) == 4


def test_private_things_are_out_of_every_published_file_and_listed_on_the_page(tmp_path: Path) -> None:
    night = nights.a_night(8)
    secrets = [
        "GPU-5b1c2d3e-0000-1111-2222-333344445555",
        "/home/alice/runs/secret.txt",
        "alice@example.org",
        "sk-ant-api03-abcdefghijklmnop1234",
        "192.168.17.4",
        "C:\\Users\\alice\\x",
        "bob:hunter2pass@",
        "hf_abcdefghijklmnopqrstuvwx",
    ]
    text = " and ".join(secrets[1:6]) + " https://bob:hunter2pass@host/x " + secrets[7]
    night = msgspec.structs.replace(
        night,
        experiments=[msgspec.structs.replace(e, hypothesis=text, diff=f"+{text}", reason=text) for e in night.experiments],
        runs=[msgspec.structs.replace(r, log_tail=text, detail=text, status="failed") for r in night.runs],
        assets={sha: {"train.py": f"{files['train.py']}# {text}"} for sha, files in night.assets.items()},
    )
    night = nights.with_plan(
        night, command=["appliance", "overnight", "--nights", "/home/alice/nights"], agent_options={"key": "sk-ant-api03-zzzzzzzzzzzzzzzz"}
    )
    done = report.publish(tmp_path / "site", [night])
    for file in (tmp_path / "site").rglob("*"):
        if file.is_file():
            content = file.read_text(encoding="utf-8")
            for secret in [*secrets, "hunter2", "alice", "4242", "zzzzzzzz"]:
                assert secret not in content, f"{secret} in {file.name}"
    listed = done.left_out[night.plan.night_id]
    page = (tmp_path / "site" / "nights" / night.plan.night_id / "report.html").read_text(encoding="utf-8")
    assert "Left out before publishing" in page
    assert any("UUID" in line for line in listed)
    assert any(line.startswith("a key") for line in listed)
    assert any(line.startswith("a path") for line in listed)


def test_stripping_takes_nothing_from_what_is_not_private() -> None:
    night = nights.a_night(20)
    public, _ = report.stripped(night)
    assert public.experiments == night.experiments
    assert public.assets == night.assets
    assert [r.score for r in public.runs] == [r.score for r in night.runs]


def test_a_real_asset_is_published_as_it_is() -> None:
    night = nights.a_night(3)
    digest = next(iter(night.assets))
    files = {"train.py": (paths.share("trainer") / "train.py").read_text()}
    public, left_out = report.stripped(msgspec.structs.replace(night, assets={digest: files}))
    assert public.assets[digest] == files
    assert not any("secret" in line for line in left_out)


def test_a_folder_that_is_no_site_is_refused_and_left_alone(tmp_path: Path, some: list[Night]) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"no index\.json of a site"):
        report.publish(tmp_path, some)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_newer_or_damaged_index_is_refused(tmp_path: Path, some: list[Night]) -> None:
    (tmp_path / "index.json").write_text('{"format_version": 99, "nights": []}')
    with pytest.raises(ApplianceError, match="newer"):
        report.publish(tmp_path, some)
    (tmp_path / "index.json").write_text("{")
    with pytest.raises(ApplianceError, match="damaged"):
        report.publish(tmp_path, some)


def test_a_night_id_that_is_no_file_name_is_refused(tmp_path: Path, some: list[Night]) -> None:
    with pytest.raises(UsageError, match="cannot be a folder"):
        report.publish(tmp_path / "site", [nights.with_plan(some[0], night_id="../../etc")])
    assert not (tmp_path / "etc").exists()


def test_nights_of_one_class_that_agree_are_said_to_agree(some: list[Night]) -> None:
    pair = [nights.a_night(30, seed=1), nights.a_night(30, seed=2)]
    said = report.comparison(pair)["classes"]
    assert len(said) == 1
    assert said[0]["constants"]["BATCH_TOKENS"]["agreement"] == "all down"
    assert "intervals overlap" in " ".join(said[0]["said"])
    page = outline(report.compare(pair))
    assert page.unclosed == []


def test_classes_stand_in_the_order_of_their_measured_rate_and_no_score_is_ranked(some: list[Night]) -> None:
    page = report.compare(some)
    across = page.split("How the best configuration moves")[1]
    assert across.index("NVIDIA GB10") < across.index("NVIDIA H200")
    assert "never ranked" in page
    with pytest.raises(UsageError, match="two nights"):
        report.compare(some[:1])


def test_the_profile_index_renders_whatever_is_missing() -> None:
    index = {
        "format_version": 1,
        "problems": ["bad.json: <b>"],
        "boards": [
            {"vendor": "nvidia", "folder": "x", "name": None, "datasheet": {}, "measurements": [], "roofline": None},
            {
                "vendor": "nvidia",
                "name": "H200 <script>",
                "datasheet": {"bf16_flops": {"value": 989e12}, "memory_bytes": {"value": None}},
                "measurements": [{}],
                "roofline": {"peak_flops": 794e12, "bandwidth_bytes_per_s": 4.1e12, "ridge_flops_per_byte": 193.0, "source": "measured"},
            },
            {},
        ],
    }
    found = outline(report.profile_index(index))
    assert found.unclosed == []
    assert "794" in found.text["td"]
    assert [t for t, _ in found.tags].count("script") == 0
