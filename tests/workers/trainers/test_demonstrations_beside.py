"""A reward job may name a dataset of demonstrations; the worker finds it for the trainer."""

import json

import pytest

from modelops import datasets
from modelops.jobs import JobFailed
from modelops.models import Dataset
from modelops.rows import canonical
from tests import factories
from workers import training_job

pytestmark = pytest.mark.django_db


@pytest.fixture
def job(settings, tmp_path):
    settings.VAR = tmp_path
    project = factories.make_project()
    return factories.make_job(
        project,
        "reward",
        model_version=factories.register_model(project, tmp_path / "base"),
        dataset=frozen(project, "judgments", {"answers": [], "split": "train"}),
        recipe={},
    )


def frozen(project, kind, row):
    digest, folder = datasets.write([canonical({"prompt_id": kind, "messages": [], **row})])
    return datasets.register(project, kind, digest, folder)[0]


def test_the_trainer_is_told_where_the_demonstrations_lie(job):
    beside = frozen(job.project, "demonstrations", {"text": "Because.", "split": "train"})
    job.recipe = {"demonstrations": beside.digest[:8]}
    asked = json.loads((training_job.prepare(job) / "recipe.json").read_text())
    assert asked["others"]["demonstrations"] == str(datasets.path(beside))
    assert list(job.further.all()) == [beside]  # what learns from it is known by that


def test_without_them_it_is_told_of_none(job):
    assert json.loads((training_job.prepare(job) / "recipe.json").read_text())["others"] == {}


def test_rankings_and_other_projects_datasets_are_no_demonstrations(job):
    theirs = frozen(
        factories.make_project(), "demonstrations", {"text": "Why not?", "split": "train"}
    )
    for digest in (job.dataset.digest, theirs.digest):
        job.recipe = {"demonstrations": digest}
        with pytest.raises(JobFailed, match="no dataset of demonstrations"):
            training_job.prepare(job)
    assert Dataset.objects.count() == 2
