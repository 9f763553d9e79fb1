import shutil
from pathlib import Path

import pytest

from appliance import paths, tasks
from appliance.errors import UsageError
from appliance.records import Device


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(paths.share("examples") / "curve", tmp_path / "curve")
    return tmp_path / "curve"


def _edit(folder: Path, old: str, new: str) -> None:
    file = folder / "task.toml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


@pytest.mark.parametrize("name", ["trainer", str(paths.share("examples") / "curve")])
def test_every_shipped_task_reads(name: str):
    loaded = tasks.load(name)
    for preset in loaded.task.presets.values():
        assert tasks.read_constants(loaded.reference(preset)) | preset.constants == tasks.read_constants(loaded.reference(preset))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("direction =", "directoin =", "did you mean `direction`"),
        ('name = "squared_error"\n', "", "missing required field `name`"),
        ('direction = "lower"', 'direction = "down"', "direction"),
        ("budget_s = 1.0", 'budget_s = "one"', "budget_s"),
        ("WAVES = 1, STEP", "WAWES = 1, STEP", "did you mean `WAVES`"),
        ('dataset = "points"', 'dataset = "pionts"', "did you mean `points`"),
        ('files = ["fit.py"]', 'files = ["fitt.py"]', "fitt.py"),
        ('files = ["harness"]', 'files = ["harness", "fit.py"]', "what judges must not be what is judged"),
        ("format_version = 1", "format_version = 99", "newer"),
        ("[metric]", "[metric", "TOML"),
    ],
)
def test_a_mistake_in_task_toml_is_named(folder: Path, old: str, new: str, said: str):
    _edit(folder, old, new)
    with pytest.raises(UsageError) as caught:
        tasks.load(str(folder))
    assert said in str(caught.value)
    assert "task.toml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_digest_follows_what_judges_and_not_the_asset(folder: Path):
    before = tasks.load(str(folder)).sha256
    (folder / "fit.py").write_text((folder / "fit.py").read_text() + "# changed\n")
    assert tasks.load(str(folder)).sha256 == before
    (folder / "evaluator" / "__main__.py").write_text("# changed\n")
    assert tasks.load(str(folder)).sha256 != before


def test_a_short_night_gets_the_quick_preset_and_a_long_one_the_other():
    task = tasks.load("trainer").task
    cpu = Device(kind="cpu", index=0, name="a CPU", slug="a-cpu", memory_total_bytes=8 << 30)
    short, _ = tasks.find_preset(task, cpu, None, 0.3)
    long, _ = tasks.find_preset(task, cpu, None, 8.0)
    assert (short, long) == ("cpu-quick", "cpu")
    with pytest.raises(UsageError, match="did you mean `cpu`"):
        tasks.find_preset(task, cpu, "cpuu", 8.0)


def test_an_unknown_task_is_said_so():
    with pytest.raises(UsageError, match="no task 'nothing'"):
        tasks.load("nothing")


def test_a_new_task_is_written_and_reads(tmp_path: Path):
    written = tasks.write_example(tmp_path / "mine")
    assert tmp_path / "mine" / "task.toml" in written
    tasks.load(str(tmp_path / "mine"))
    with pytest.raises(UsageError, match="there already"):
        tasks.write_example(tmp_path / "mine")
