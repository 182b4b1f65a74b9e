"""Work in other processes: in order, whatever becomes of them."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from people import processes

BATCHES = [[n] * n for n in range(20)]
LENGTHS = list(range(20))
PARENT = """
import multiprocessing, sys, time
from people import processes

for _result in processes.mapped(len, [[1]] * 50, 1):
    print(multiprocessing.active_children()[0].pid, flush=True)
    time.sleep(600)
"""


def test_results_come_in_the_order_of_their_batches():
    assert list(processes.mapped(len, iter(BATCHES), 2)) == LENGTHS
    assert not multiprocessing.active_children()


def test_without_other_processes_this_one_does_the_work():
    here = [os.getpid()] * 3
    assert list(processes.mapped(lambda _batch: os.getpid(), BATCHES[:3], 0)) == here


@pytest.mark.parametrize(("cores", "beside"), [(1, 0), (3, 2), (64, processes.MOST)])
@pytest.mark.parametrize("is_linux", [True, False])
def test_one_core_is_left_to_this_process(monkeypatch, cores, beside, is_linux):
    if is_linux:
        affinity = set(range(cores))
        monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: affinity, raising=False)
    else:
        monkeypatch.delattr(os, "sched_getaffinity", raising=False)
        monkeypatch.setattr(os, "cpu_count", lambda: cores)
    assert processes.spare() == beside


def test_other_processes_do_the_work():
    assert os.getpid() not in set(processes.mapped(_whose, iter(BATCHES), 1))


def _whose(_batch: list) -> int:
    return os.getpid()


def test_a_killed_process_costs_no_batch():
    def batches():
        for batch in BATCHES:
            if len(batch) == 10:
                for child in multiprocessing.active_children():
                    child.kill()
                    child.join()
            yield batch

    assert list(processes.mapped(len, batches(), 1)) == LENGTHS


def test_a_fault_of_a_batch_is_raised_and_ends_the_processes():
    with pytest.raises(TypeError):
        list(processes.mapped(len, iter([[1], 2, [3]]), 1))
    assert not multiprocessing.active_children()


def test_a_process_ends_with_the_one_that_started_it_also_when_that_is_killed():
    with subprocess.Popen(
        [sys.executable, "-c", PARENT],
        stdout=subprocess.PIPE,
        cwd=Path(processes.__file__).parent.parent,
    ) as parent:
        child = int(parent.stdout.readline())
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        while _runs(child):
            time.sleep(0.05)


def _runs(pid: int) -> bool:
    """Whether it runs: nobody may have asked yet for the exit status of an orphan."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False
