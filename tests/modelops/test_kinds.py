"""Each kind of job is described whole, in one place."""

from importlib.util import find_spec

import pytest
from django.template.loader import get_template
from django.urls import reverse

from modelops import kinds, recipes
from modelops.models import Job, ModelVersion
from workers import dataset_jobs, queues

each_kind = pytest.mark.parametrize("kind", Job.Kind.values)


@each_kind
def test_a_kind_has_all_its_parts(kind):
    described = kinds.KINDS[kind]

    assert described.kind == kind
    assert described.recipe is recipes.RECIPES[kind]
    assert described.sentence or not described.startable, "its form has no sentence"
    assert not described.start_page or reverse(described.start_page, args=["demo"])
    assert {*described.links, *described.last_links} <= set(kinds.LINKS)
    assert not set(described.links) & set(described.last_links)
    for template in (described.about_template, described.result_template):
        assert get_template(template)


@each_kind
def test_a_kind_has_somebody_who_does_its_work(kind):
    described = kinds.KINDS[kind]

    assert [queue for queue, known in kinds.QUEUES.items() if kind in known] == [described.queue]
    assert getattr(queues, f"{described.queue}_work").name == f"{described.queue}.work"
    if described.queue == "default":
        assert kind in dataset_jobs.RUN
    if described.queue == "training":
        assert find_spec(f"workers.trainers.{kind}")


@each_kind
def test_what_trains_a_model_says_which_and_how_it_is_named(kind):
    described = kinds.KINDS[kind]

    assert (described.makes in ModelVersion.Kind.values) == (kind in kinds.TRAINED)
    assert bool(described.stem) == (kind in kinds.TRAINED)
    if kind in kinds.TRAINED:
        assert {"model_version", "dataset"} <= set(described.links)
        assert described.datasets
