"""What a trainer reports, as its worker stores it."""

import json
from types import SimpleNamespace

import pytest

from modelops import jobs
from modelops.models import Job, Metric
from tests.factories import make_project
from workers import training_job
from workers.trainers.run import metrics

pytestmark = pytest.mark.django_db


def test_a_figure_is_stored_with_its_interval_and_how_that_was_computed():
    jobs.request(None, make_project(), Job.Kind.REWARD)
    job = jobs.claim_next({Job.Kind.REWARD})
    figure = metrics.share("accuracy", "test", [70, 30], [100, 100])
    trainer = SimpleNamespace(
        stdout=iter([json.dumps({"event": "metric", **figure})]), stderr=iter([]), wait=lambda: 0
    )

    training_job.Report(job, trainer).follow()

    stored = Metric.objects.values("name", "slice", "step", "value", "low", "high", "n", "method")
    assert list(stored) == [figure | {"step": None}]


def test_what_a_killed_worker_has_not_written_of_a_run_is_written_when_it_goes_on():
    jobs.request(None, make_project(), Job.Kind.REWARD)
    job = jobs.claim_next({Job.Kind.REWARD})
    for step in (1, 2):
        Metric.objects.create(job=job, name="loss", step=step, value=step / 10)
    past = [{"step": step, "metrics": {"loss": 5.0, "lr": None}} for step in (1, 2, 3, 4)]
    told = [
        {"event": "past", "steps": past},
        {"event": "step", "step": 5, "total": 9, "metrics": {"loss": 0.5}},
    ]
    trainer = SimpleNamespace(stdout=iter(map(json.dumps, told)), stderr=iter([]), wait=lambda: 0)

    training_job.Report(job, trainer).follow()

    stored = Metric.objects.order_by("step").values_list("name", "step", "value")
    assert list(stored) == [
        ("loss", 1, 0.1),
        ("loss", 2, 0.2),
        ("loss", 3, 5.0),
        ("loss", 4, 5.0),
        ("loss", 5, 0.5),
    ]
    assert Job.objects.get(pk=job.pk).done == 5
