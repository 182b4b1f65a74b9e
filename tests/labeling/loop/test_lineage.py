"""From a model back to the rankings that shaped it."""

import pytest

from labeling.exports import freeze
from modelops.models import ModelVersion
from tests.factories import make_job, make_model, make_ranking, make_task

pytestmark = pytest.mark.django_db


def made(project, name, parent, dataset):
    job = make_job(project, "dpo", dataset=dataset, recipe={"beta": 0.1})
    links = {"parent": parent, "job": job, "dataset": dataset}
    return ModelVersion.objects.create(
        project=project, kind="policy", name=name, folder="m", sha256="2" * 64, **links
    )


@pytest.fixture
def line(project, alice, carol):
    """A base, a model of the first round and one of the second."""
    base = make_model(None, "Base", folder="models/base", sha256="0" * 64)
    make_ranking(make_task(project), alice)
    first = made(project, "assistant 1", base, freeze.freeze_now(carol, project))
    make_ranking(make_task(project), alice)
    return base, first, made(project, "assistant 2", first, freeze.freeze_now(carol, project))


def test_a_model_leads_back_to_its_base_its_datasets_and_jobs(client_for, carol, line):
    base, first, second = line
    page = client_for(carol).get(f"/p/demo/models/{second.pk}/")
    text = page.content.decode()

    assert page.context["line"] == [second, first, base]
    for step in (first, second):
        assert f"/p/demo/datasets/{step.dataset_id}/" in text
        assert f"/p/demo/jobs/{step.job_id}/" in text
        assert step.sha256 in text


def test_the_rankings_behind_each_step_are_counted(client_for, carol, line):
    _base, _first, second = line
    shown = client_for(carol).get(f"/p/demo/models/{second.pk}/").context["line"]

    assert [step.rankings for step in shown] == [2, 1, 0]


def test_what_was_made_of_a_model_is_shown(client_for, carol, line):
    base, first, _second = line

    assert client_for(carol).get(f"/p/demo/models/{base.pk}/").context["children"] == [first]


def test_a_dataset_names_the_models_trained_on_it(client_for, carol, line):
    _base, first, _second = line

    assert list(
        client_for(carol).get(f"/p/demo/datasets/{first.dataset_id}/").context["models"]
    ) == [first]


def test_a_model_tuned_on_a_reward_model_leads_back_to_the_rankings_that_this_one_learned(
    client_for, carol, project, line
):
    base, first, _second = line
    job = make_job(project, "reward", dataset=first.dataset)
    links = {"job": job, "dataset": first.dataset, "folder": "m", "sha256": "3" * 64}
    judge = ModelVersion.objects.create(project=project, kind="reward", name="reward 1", **links)
    job = make_job(project, "ppo", reward_model=judge)
    tuned = ModelVersion.objects.create(
        project=project,
        kind="policy",
        name="tuned",
        folder="m",
        sha256="4" * 64,
        parent=base,
        job=job,
    )
    page = client_for(carol).get(f"/p/demo/models/{tuned.pk}/")

    assert page.context["rankings"] == 1
    assert f"/p/demo/models/{judge.pk}/" in page.content.decode()
