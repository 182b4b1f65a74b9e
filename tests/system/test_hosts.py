"""Hosts with networks, disks and names of their own: `benchmarks/hosts.py` in small."""

import json
import subprocess
import sys

import pytest

from benchmarks.podium import ROOT

pytestmark = [pytest.mark.system, pytest.mark.torch]


def test_a_job_whose_host_loses_power_loses_and_doubles_nothing(tmp_path):
    figures = tmp_path / "figures.json"
    job = ["--quick", "--only", "sample", "--fault", "killed", "--silent", "4"]
    command = [sys.executable, "benchmarks/hosts.py", *job, "--json", figures]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if "Not run:" in run.stderr:
        pytest.skip(run.stderr.partition("Not run:")[2])

    assert run.returncode == 0, run.stderr
    made = json.loads(figures.read_text())
    assert (made["lost"], made["doubled"], made["resumed"]) == (0, 0, 0)
