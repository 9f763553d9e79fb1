"""The built wheel works with the source tree gone."""

import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel and, of the packages it needs, those of this environment."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    shutil.copytree(REPOSITORY, source, ignore=shutil.ignore_patterns(".git", ".venv", "nights", "__pycache__", ".*_cache", "docs"))
    pip = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "-w", folder / "dist", source], check=True, capture_output=True, text=True)
    shutil.rmtree(source)
    wheel = next((folder / "dist").glob("*.whl"))
    venv.create(folder / "env", symlinks=True)
    packages = next((folder / "env" / "lib").glob("python*/site-packages"))
    subprocess.run([*pip, "install", "--no-deps", "--target", packages, wheel], check=True, capture_output=True, text=True)
    here = next(Path(p) for p in sys.path if p.endswith("site-packages"))
    (packages / "needs.pth").write_text(f"{here}\n")
    return folder / "env" / "bin" / "python"


def _run(python: Path, code: str, folder: Path) -> str:
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, cwd=folder, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_wheel_finds_its_own_folders(installed: Path, tmp_path: Path):
    names = ("trainer", "probe", "profiles", "reports", "docker", "examples")
    code = f"import appliance.paths as p; print(all(p.share(n).is_dir() for n in {names}), p.share('trainer'))"
    said = _run(installed, code, tmp_path)
    assert said.startswith("True")
    assert str(installed.parent.parent) in said


def test_the_wheel_reads_its_task_and_knows_boards(installed: Path, tmp_path: Path):
    code = (
        "from appliance import tasks, profiles, report, ledger\n"
        "print(tasks.load('trainer').task.name, len(profiles.index()['boards']) > 40)"
    )
    assert _run(installed, code, tmp_path) == "trainer True"
