"""A host of two devices, which are two names for one processor here: two jobs at once, and one on
both.
"""

import json

import pytest

from benchmarks.person import Site
from tests.system.podium import QuickPodium, wait_for
from tests.system.test_kills import base, ranked_prompt, unfinished

pytestmark = [pytest.mark.system, pytest.mark.torch, pytest.mark.slow]
QUICK = {"epochs": 2, "batch": 4, "max_length": 64}


@pytest.fixture
def podium(tmp_path, tiny_model):
    podium = QuickPodium(tmp_path / "var", tiny_model, PODIUM_DEVICES="0,1")
    podium.start()
    yield podium
    try:
        podium.stop()
    finally:
        podium.kill()


def test_each_device_takes_a_job_and_a_job_may_take_all(podium):
    admin = Site(podium.url, "admin@podium.local", podium.accounts()["admin@podium.local"])
    wait_for(lambda: not unfinished(podium), 120, "the first run's own sampling job is done")
    admin.submit("/projects/new", {"name": "Two", "slug": "two"})
    body = "\n".join(json.dumps(ranked_prompt(number)) for number in range(40)).encode()
    uploaded = admin.submit(
        "/p/two/prompts/upload", {"format": "prompts"}, files={"file": ("p.jsonl", body)}
    )
    admin.wait("two", int(str(uploaded.url).rstrip("/").split("/")[-1]), 60)
    imported = admin.submit(uploaded.url.path, {"import": "1"})
    admin.wait("two", int(str(imported.url).rstrip("/").split("/")[-1]), 60)
    dataset = admin.wait("two", admin.start("two", "freeze"), 60)["dataset_made"]
    on = {"model_version": base(admin, "two"), "dataset": dataset} | QUICK

    first, second = (admin.start("two", "reward", **on) for _ in range(2))
    both = admin.start("two", "reward", devices="all", **on)
    too_large = admin.start("two", "reward", devices="3", **on)
    for job in (first, second, both):
        admin.wait("two", job, 280)

    rows = podium.sql("select id, devices, started_at, finished_at from modelops_job")
    jobs = {number: (devices, start, end) for number, devices, start, end in rows}
    assert {jobs[first][0], jobs[second][0], jobs[both][0]} == {"0", "1", "0,1"}
    assert jobs[second][1] < jobs[first][2], "the second began before the first had ended"
    assert jobs[both][1] >= max(jobs[first][2], jobs[second][2])
    said = [
        text for (text,) in podium.sql("select text from modelops_logline where job_id = ?", both)
    ]
    assert "2 processes train together: a step takes 8 rows." in said
    wait_for(
        lambda: admin.job("two", too_large)["note"].startswith("waiting for a host with 3 devices"),
        30,
    )
