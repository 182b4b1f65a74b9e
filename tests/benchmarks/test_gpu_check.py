"""The script that checks a machine's GPUs: what was not run has not passed."""

import json

import pytest

from benchmarks import gpu_check


def check(monkeypatch, tmp_path, checks):
    """The script's exit code and outcomes with these checks in place of its own."""
    monkeypatch.setattr(gpu_check, "CHECKS", checks)
    monkeypatch.setattr(gpu_check, "prepare", lambda folder: None)
    monkeypatch.setattr(gpu_check, "Place", lambda folder, model: None)
    monkeypatch.setattr("sys.argv", ["gpu_check.py", "--json", str(tmp_path / "figures.json")])
    with pytest.raises(SystemExit) as end:
        gpu_check.main()
    return end.value.code, json.loads((tmp_path / "figures.json").read_text())


def holds(place):
    return gpu_check.expect(True, "1.5 apart")


def breaks(place):
    return gpu_check.expect(False, "9 apart")


def dies(place):
    raise ZeroDivisionError("by nought")


def lacks(place):
    raise gpu_check.NotRun("no GPU here")


def test_a_check_passes_fails_or_says_why_it_was_not_run(monkeypatch, tmp_path, capsys):
    code, outcomes = check(monkeypatch, tmp_path, {"a": holds, "b": lacks})
    assert code == 0
    assert outcomes == {
        "a": {"state": "passed", "figure": "1.5 apart"},
        "b": {"state": "not run", "figure": "no GPU here"},
    }
    assert "1 passed, 0 failed, 1 not run" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("wrong", "figure"), [(breaks, "9 apart"), (dies, "ZeroDivisionError: by nought")]
)
def test_one_failure_is_the_exit_code(monkeypatch, tmp_path, wrong, figure):
    code, outcomes = check(monkeypatch, tmp_path, {"a": holds, "b": wrong, "c": lacks})
    assert (code, outcomes["b"]) == (1, {"state": "failed", "figure": figure})


def test_what_there_is_no_time_for_is_not_run(monkeypatch, tmp_path):
    monkeypatch.setattr(gpu_check, "SECONDS", 0)
    code, outcomes = check(monkeypatch, tmp_path, {"a": holds})
    assert (code, outcomes["a"]["state"]) == (0, "not run")
