"""Data that an earlier version stored, after the migrations since then."""

import logging

import pytest

from modelops.models import Metric
from tests.migrations import migrate, migrated_back

pytestmark = pytest.mark.django_db(transaction=True)


def test_of_a_final_figure_that_was_stored_twice_the_newest_is_kept(caplog):
    caplog.set_level(logging.WARNING)
    with migrated_back(("modelops", "0008_alias_plural")) as old:
        project = old.get_model("people", "Project").objects.create(slug="old", name="Old")
        jobs = [
            old.get_model("modelops", "Job").objects.create(project=project, kind="reward")
            for _ in range(2)
        ]
        figures = [
            (jobs[0], "accuracy", "test", None, 0.5),
            (jobs[0], "accuracy", "test", None, 0.6),
            (jobs[0], "accuracy", "test", None, 0.7),
            (jobs[0], "accuracy", "train", None, 0.8),
            (jobs[0], "accuracy", "test", 1, 0.1),
            (jobs[0], "accuracy", "test", 2, 0.2),
            (jobs[1], "accuracy", "test", None, 0.3),
            (jobs[1], "accuracy", "test", None, 0.4),
        ]
        metrics = old.get_model("modelops", "Metric")
        for job, name, slice, step, value in figures:
            metrics.objects.create(job=job, name=name, slice=slice, step=step, value=value)

        migrate(("modelops", "0009_metric_method"))

    kept = Metric.objects.order_by("pk").values_list("job", "slice", "step", "value", "method")
    assert list(kept) == [
        (jobs[0].pk, "test", None, 0.7, ""),
        (jobs[0].pk, "train", None, 0.8, ""),
        (jobs[0].pk, "test", 1, 0.1, ""),
        (jobs[0].pk, "test", 2, 0.2, ""),
        (jobs[1].pk, "test", None, 0.4, ""),
    ]
    assert "Removed 3 final figures" in caplog.text
