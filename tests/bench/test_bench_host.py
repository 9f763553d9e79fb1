"""The host's figures: the kernel's account of a process, and what happens where there is none."""

import os
import time
from pathlib import Path

import host
import pytest

from appliance.errors import UsageError


def test_cpu_seconds_of_this_process_are_what_it_counts_itself():
    until = time.process_time() + 0.05
    while time.process_time() < until:
        pass
    assert host.cpu_s(os.getpid()) == pytest.approx(sum(os.times()[:4]), abs=0.1)


def test_a_process_with_spaces_and_brackets_in_its_name_is_read_all_the_same(tmp_path: Path):
    fields = ["S", *("0" for _ in range(10)), "300", "100", "40", "10", *("0" for _ in range(30))]
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "stat").write_text(f"7 (a ) b) {' '.join(fields)}\n")
    assert host.cpu_s(7, tmp_path) == 450 / os.sysconf("SC_CLK_TCK")


def test_a_process_that_is_gone_is_said_to_be_gone(tmp_path: Path):
    with pytest.raises(UsageError, match="has ended"):
        host.cpu_s(7, tmp_path)


def test_a_night_that_nobody_lives_has_no_share(tmp_path: Path):
    with pytest.raises(UsageError, match="is not running"):
        host.share_of_night(tmp_path, 0.0)
