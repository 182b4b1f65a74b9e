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
