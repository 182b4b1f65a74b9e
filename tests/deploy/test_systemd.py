"""systemd reads the units of deploy/systemd."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

UNITS = Path(__file__).resolve().parents[2] / "deploy/systemd"


@pytest.mark.parametrize("name", ["podium.service", "podium-backup.service", "podium-backup.timer"])
def test_a_unit_says_nothing_that_systemd_does_not_know(tmp_path, name):
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("no systemd here")
    for unit in UNITS.glob("podium*.*"):
        text = unit.read_text(encoding="utf-8")
        (tmp_path / unit.name).write_text(
            text.replace("/opt/podium/.venv/bin/python", sys.executable)
        )
    done = subprocess.run(
        [analyze, "verify", "--man=no", "--recursive-errors=no", tmp_path / name],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_systemd_understands_the_time_of_the_timer():
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("no systemd here")
    timer = (UNITS / "podium-backup.timer").read_text(encoding="utf-8")
    [time] = [line.split("=", 1)[1] for line in timer.splitlines() if line.startswith("OnCalendar")]
    assert subprocess.run([analyze, "calendar", time], capture_output=True).returncode == 0
