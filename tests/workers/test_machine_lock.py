"""One job, its devices: what a host has, who gets it and when, and what a started process sees of
it.
"""

import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack
from uuid import uuid4

import pytest

from config.run import up
from modelops import jobs, recipes
from modelops.models import Job
from workers import machine_lock, queues, sampling_job, training_job
from workers.machine_lock import Held

db = pytest.mark.django_db


@pytest.mark.parametrize(
    ("setting", "visible", "driver", "names"),
    [
        ("auto", None, 8, ["0", "1", "2", "3", "4", "5", "6", "7"]),
        ("auto", None, 0, ["cpu"]),
        ("auto", "2,5", 8, ["2", "5"]),
        ("auto", "", 8, ["cpu"]),
        ("auto", "-1", 8, ["cpu"]),
        ("cpu", "2,5", 8, ["cpu"]),
        ("1, GPU-8932f937", None, 8, ["1", "GPU-8932f937"]),
    ],
)
def test_a_host_has_its_gpus_or_its_processor(
    settings, monkeypatch, setting, visible, driver, names
):
    settings.DEVICES = setting
    monkeypatch.setattr(machine_lock, "gpus", lambda: driver)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)

    assert machine_lock.devices() == names


def test_the_gpus_are_counted_by_the_driver_without_torch(tmp_path):
    """By a library that stands in for NVIDIA's, loaded from where the system looks first."""
    source = tmp_path / "nvml.c"
    source.write_text(
        "int nvmlInit_v2(void) { return 0; } int nvmlShutdown(void) { return 0; }"
        "int nvmlDeviceGetCount_v2(unsigned *count) { *count = 3; return 0; }"
    )
    built = tmp_path / "libnvidia-ml.so.1"
    if subprocess.run(
        ["cc", "-shared", "-fPIC", "-o", built, source], capture_output=True
    ).returncode:
        pytest.skip("no C compiler here")
    code = (
        "import sys; from workers import machine_lock; "
        "print(machine_lock.gpus(), 'torch' in sys.modules)"
    )
    environment = os.environ | {
        "LD_LIBRARY_PATH": str(tmp_path),
        "DJANGO_SETTINGS_MODULE": "config.settings",
    }

    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )

    assert done.stdout.split() == ["3", "False"]


def test_eight_gpus_are_held_by_eight_jobs_and_a_processor_by_one(settings):
    settings.DEVICES = "0,1,2,3,4,5,6,7"
    with ExitStack() as held:
        given = [held.enter_context(machine_lock.held(1)) for _ in range(9)]
    assert [str(one) for one in given] == ["0", "1", "2", "3", "4", "5", "6", "7", "None"]

    settings.DEVICES = "cpu"
    with machine_lock.held(1) as first, machine_lock.held(1) as second:
        assert (str(first), second) == ("cpu", None)


def test_a_job_of_several_devices_gets_all_of_them_or_none(settings):
    settings.DEVICES = "0,1,2"
    with machine_lock.held(2) as two:
        with machine_lock.held(2) as more:
            assert more is None
        with machine_lock.held(1) as one:  # the one that was not enough is free again
            assert (str(two), str(one)) == ("0,1", "2")


def test_a_child_keeps_its_devices_when_its_worker_is_gone(settings):
    settings.DEVICES = "0,1"
    with machine_lock.held(2) as held:
        child = subprocess.Popen(["sleep", "60"], pass_fds=held.locks)
    try:
        with machine_lock.held(1) as taken:
            assert taken is None
    finally:
        child.kill()
        child.wait()
    with machine_lock.held(2) as free:
        assert str(free) == "0,1"


# --- whose turn it is -----------------------------------------------------------------------------


def ask(project, kind="sft", **more):
    settings = {"devices": more.pop("devices")} if "devices" in more else {}
    return jobs.request(None, project, kind, settings, **more)


def work(queue, meanwhile=lambda: None):
    """The queue's worker looks once; what it took, on which devices."""
    taken = []

    def body(job, held):
        taken.append((job, str(held)))
        meanwhile()

    queues.on_devices(queue, body)
    return taken


@db
def test_two_gpus_run_two_jobs_and_the_third_waits(project, settings):
    settings.DEVICES = "0,1"
    first, second, third = ask(project), ask(project, "sample"), ask(project)
    inner = {}

    def meanwhile():
        inner["sampling"] = work("sampling", lambda: inner.update(training=work("training")))

    outer = work("training", meanwhile)

    assert outer == [(first, "0")]
    assert inner == {"sampling": [(second, "1")], "training": []}
    for job in (first, second, third):
        job.refresh_from_db()
    assert (first.devices, second.devices, third.devices) == ("0", "1", "")
    assert (first.state, second.state, third.state, third.note) == (
        "done",
        "done",
        "queued",
        jobs.WAITING,
    )


@db
@pytest.mark.parametrize("waiting", ["training", "sampling"])
def test_queues_take_turns_at_a_device_however_many_jobs_one_of_them_has(project, waiting):
    other = "sampling" if waiting == "training" else "training"
    kinds = {"training": "sft", "sampling": "sample"}
    for _ in range(3):
        ask(project, kinds[other])
    ask(project, kinds[waiting])

    assert (
        len(work(other, lambda: work(waiting))) == 1
    )  # the other queue looks while the device is taken

    assert work(other) == []
    assert len(work(waiting)) == 1
    assert len(work(other)) == 1


@db
def test_a_job_of_all_devices_is_not_starved_by_those_of_one(project, settings):
    settings.DEVICES = "0,1"
    ask(project, "sample")
    ask(project, "sample")
    large = ask(project, devices="all")

    def meanwhile():
        assert work("training") == []  # one device is taken
        assert work("sampling") == []  # the free one is kept for who came first

    assert len(work("sampling", meanwhile)) == 1
    assert work("training") == [(large, "0,1")]
    assert len(work("sampling")) == 1


@db
def test_a_smaller_priority_goes_first_whoever_waited_longer(project):
    ask(project, "sample")
    ask(project)
    work("sampling", lambda: work("training"))
    urgent = ask(project, "sample", priority=-1)

    assert work("sampling") == [(urgent, "cpu")]


@db
@pytest.mark.parametrize("gone", ["cancelled", "silent", "another-podium-s"])
def test_who_waits_no_more_holds_nobody_up(project, carol, settings, tmp_path, gone):
    ask(project, "sample")
    ask(project, "sample")
    waits = ask(project)
    if gone == "another-podium-s":
        settings.VAR = tmp_path / "other"
        machine_lock.waits("training", 0)
        settings.VAR = tmp_path
    work("sampling", lambda: work("training"))
    if gone == "cancelled":
        jobs.cancel(carol, waits)
    else:
        for note in tmp_path.glob("machine.lock-waits-*"):
            os.utime(note, (time.time() - 3600,) * 2)

    assert len(work("sampling")) == 1


@db
def test_another_podium_that_shares_the_lock_has_its_turn(project, settings, tmp_path):
    ask(project)
    settings.VAR = tmp_path / "other"
    machine_lock.waits("training", 0)
    settings.VAR = tmp_path
    assert work("training") == []

    settings.VAR = tmp_path / "other"
    machine_lock.waits_no_more("training")
    settings.VAR = tmp_path
    assert len(work("training")) == 1


@db
def test_a_job_that_is_too_large_for_the_host_says_so_and_holds_nobody_up(project, settings):
    settings.DEVICES = "0,1"
    large, small = ask(project, devices="4"), ask(project, devices=2)

    assert work("training") == [(small, "0,1")]
    large.refresh_from_db()
    assert large.note == "waiting for a host with 4 devices: this one has 2"


# --- what is shown and asked for ------------------------------------------------------------------


@db
@pytest.mark.parametrize(("devices", "shown"), [("0,3", "GPU 0, 3"), ("cpu", "processor")])
def test_the_pages_and_the_api_say_which_devices_a_job_has(
    client_for, carol, project, devices, shown
):
    job = ask(project)
    claimed = jobs.claim_next({Job.Kind.SFT}, job.pk, devices)
    browser = client_for(carol)
    jobs.beat(claimed, done=1, total=3)

    assert shown in browser.get(f"/p/demo/jobs/{job.pk}/").content.decode()
    assert shown in browser.get("/p/demo/jobs/").content.decode()
    body = browser.get(f"/api/v1/projects/demo/jobs/{job.pk}").json()
    assert (body["machine"], body["devices"]) == (claimed.machine, devices)


@pytest.mark.parametrize(("asked", "kept"), [("2", "2"), (4, "4"), ("all", "all")])
def test_devices_are_a_number_or_all(asked, kept):
    assert recipes.read("sft", {"devices": asked}).devices == kept


@pytest.mark.parametrize(
    ("kind", "asked"), [("sft", "0"), ("sft", "some"), ("sft", 0), ("sft", ""), ("ppo", "2")]
)
def test_other_devices_are_refused(kind, asked):
    with pytest.raises(recipes.InvalidRecipe, match="devices: must be"):
        recipes.read(kind, {"devices": asked})


@pytest.mark.parametrize(
    ("workers", "names"),
    [
        ("auto", ["sampling", "sampling-2", "sampling-3", "training", "training-2", "training-3"]),
        ("1", ["sampling", "training"]),
    ],
)
def test_as_many_workers_are_started_as_there_are_devices(settings, workers, names):
    settings.DEVICES, settings.WORKERS = "0,1,2", workers
    assert up.computing(settings) == names
    assert up.worker("training-2")[8:11] == ["training", "-n", "training-2@%h"]


# --- what a started process sees ------------------------------------------------------------------

SEEN = (
    "import os; print(*(os.environ.get(name) for name in ('CUDA_VISIBLE_DEVICES', "
    "'CUDA_DEVICE_ORDER')), sep='|')"
)


@pytest.mark.parametrize(("devices", "seen"), [(("5",), "5|PCI_BUS_ID"), (("cpu",), "|PCI_BUS_ID")])
def test_a_trainer_sees_exactly_its_devices(monkeypatch, tmp_path, devices, seen):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,4,5")
    monkeypatch.setattr(training_job, "launcher", lambda held, recipe: ["-c", SEEN])

    child = training_job.start(Job(kind="sft", claim=uuid4()), tmp_path, Held(devices, ()))
    line = child.stdout.readline().strip()
    training_job.stop(child)

    assert line == seen


@pytest.mark.parametrize(
    ("spread", "file"), [("copies", "processes.yaml"), ("shards", "fsdp.yaml")]
)
def test_several_devices_are_one_process_each(spread, file):
    command = training_job.launcher(Held(("0", "2", "3"), ()), {"spread": spread})
    assert command[command.index("--num_processes") + 1] == "3"
    assert command[command.index("--config_file") + 1].endswith(file)
    assert training_job.launcher(Held(("7",), ()), {"spread": spread}) == ["-m"]


@pytest.mark.parametrize(("visible", "kept"), [(None, "0"), ("4,5", "4"), ("", "")])
def test_a_trainer_that_is_started_by_hand_sees_one_gpu(monkeypatch, visible, kept):
    from workers.trainers.run import runs

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible or "")
    if visible is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    runs.see_one_device()
    assert os.environ["CUDA_VISIBLE_DEVICES"] == kept


def test_the_first_error_of_several_processes_is_the_job_s(project):
    report = training_job.Report.__new__(training_job.Report)
    report.error = ""
    for text in ("The machine ran out of memory.", "The connection was closed by a peer."):
        report.on_error({"text": text})
    assert report.error == "The machine ran out of memory."


def test_of_several_processes_all_say_what_is_wrong_and_one_the_rest():
    code = (
        "from workers.trainers.run import events; events.own_stdout(); events.say_errors_only()\n"
        "events.log('a line'); events.emit('error', text='Do this.')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        {"event": "error", "text": "Do this."}
    ]


# --- torch's side of it ---------------------------------------------------------------------------


@pytest.mark.torch
@pytest.mark.parametrize(("rank", "current", "expected"), [("3", 0, "cuda:3"), (None, 5, "cuda:5")])
def test_each_process_computes_on_its_own_device(monkeypatch, rank, current, expected):
    import torch

    from workers.modeling import device

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: current)
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    if rank:
        monkeypatch.setenv("LOCAL_RANK", rank)
    assert device.best_device() == torch.device(expected)


@pytest.mark.torch
def test_a_sampling_job_is_drawn_on_its_own_device_of_those_that_podium_may_use(
    settings, monkeypatch
):
    import torch

    settings.DEVICES = "2,5,7"
    chosen = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID")

    sampling_job.choose_device(Job(kind="sample", devices="5"))

    assert os.environ["CUDA_VISIBLE_DEVICES"] == "2,5,7"
    assert chosen == [1]


# --- several processes ----------------------------------------------------------------------------


def group_of(child, name="workers.trainers"):
    """The trainer's processes, those behind a launcher included."""
    import psutil

    family = psutil.Process(child.pid).children(recursive=True)
    return [process for process in family if any(name in part for part in process.cmdline())]


def alive(process):
    import psutil

    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def until(condition, seconds=60):
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.1)


LONG = {"source": "best", "lora": False, "epochs": 100.0, "max_steps": 10000, "save_steps": 10000}


@pytest.mark.torch
@pytest.mark.parametrize("end", ["cancelled", "its worker is killed"])
def test_a_job_of_several_processes_ends_whole(tmp_path, monkeypatch, end):
    """Also when a process is deaf: stopped, it can't see that its standard input has ended."""
    from tests.workers import tiny
    from tests.workers.trainers.test_child_process import make_run, write_dataset

    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    tiny.save(tmp_path / "model")
    write_dataset(tmp_path / "dataset")
    run = make_run(tmp_path, "run", "sft", **LONG)
    with open(tmp_path / "lock", "a") as lock:
        held = Held(("0", "1"), (lock.fileno(),))
        assert machine_lock.lock(lock.fileno())
        job = Job(kind="sft", claim=uuid4())
        (run / "claim").write_text(str(job.claim))
        child = training_job.start(job, run, held)
    lines = iter(child.stdout.readline, "")
    assert any(json.loads(line)["event"] == "step" for line in lines)
    processes = group_of(child)
    assert len(processes) == 2

    if end == "cancelled":
        for process in processes:
            process.suspend()
        training_job.stop(child)
    else:
        child.stdin.close()
        child.wait(timeout=60)

    until(lambda: not any(map(alive, processes)))
    with open(tmp_path / "lock", "a") as lock:
        assert machine_lock.lock(lock.fileno())
    if end != "cancelled":
        child.stdout.close()
        child.stderr.close()
