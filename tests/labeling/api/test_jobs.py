"""Jobs through the API: started with the start page's rules, watched, stopped, resumed."""

import math

import pytest

from labeling.exports import freeze
from labeling.models import Ranking
from modelops import recipes
from modelops.models import Job, LogLine, Metric
from tests.factories import make_job, make_model, make_person, make_ranking, make_task
from tests.labeling.api.hands import code_of, fields_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def base(project):
    return make_model(project, name="base", folder="models/base", sha256="0" * 64)


@pytest.fixture
def researcher(hands_of, project):
    return hands_of(make_person(project, "researcher", "rita"))


def test_a_job_starts_as_on_its_page_but_for_what_is_said(admin, base, project):
    response = admin.post("jobs", {"kind": "sample", "recipe": {"k": 2, "temperature": 0.5}})
    job = Job.objects.get()

    assert response.status_code == 202
    assert response["Location"] == f"/api/v1/projects/demo/jobs/{job.pk}"
    assert (job.kind, job.model_version, job.recipe["k"], job.recipe["temperature"]) == (
        "sample",
        base,
        2,
        0.5,
    )
    assert job.recipe["max_tokens"] == recipes.SampleRecipe().max_tokens
    told = admin.get(f"jobs/{job.pk}").json()
    assert (told["id"], told["state"], told["requested_by"]) == (
        job.pk,
        "queued",
        "carol@example.org",
    )


def test_a_request_that_arrives_twice_starts_one_job(admin, base):
    first, again = (admin.post("jobs", {"kind": "sample"}, key="one") for _ in range(2))

    assert first.json()["id"] == again.json()["id"]
    assert Job.objects.count() == 1


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"kind": "sample", "recipe": {"k": 99}}, "recipe.k"),
        ({"kind": "sample", "recipe": {"colour": 1}}, "recipe.colour"),
        ({"kind": "sample", "recipe": {"k": [1]}}, "recipe.k"),
        ({"kind": "sample", "recipe": {"others": "nobody"}}, "recipe.others"),
        ({"kind": "sample", "model_version": 999}, "model_version"),
        ({"kind": "sample", "recipe": {"best_of": 2}}, "reward_model"),
        ({"kind": "reward"}, "dataset"),
        ({"kind": "freeze"}, "kind"),
    ],
)
def test_what_is_wrong_is_told_at_its_field(admin, base, said, field):
    response = admin.post("jobs", said)

    assert response.status_code == 400
    assert fields_of(response) == {field}
    assert not Job.objects.exists()


def test_kto_is_refused_where_every_answer_is_bad(admin, base, project, alice):
    """As on the page, by what was counted when it was frozen."""
    ranking = make_ranking(make_task(project), alice)
    Ranking.objects.filter(pk=ranking.pk).update(outcome="all_bad")
    freeze.freeze_now(None, project)
    response = admin.post("jobs", {"kind": "kto"})

    assert response.status_code == 400
    assert fields_of(response) == {"dataset"}
    assert "0 good and 4 bad answers" in response.content.decode()
    assert not Job.objects.filter(kind="kto").exists()


def test_kto_starts_where_answers_were_ranked(admin, base, project, alice):
    make_ranking(make_task(project), alice)
    freeze.freeze_now(None, project)

    assert admin.post("jobs", {"kind": "kto"}).status_code == 202


def test_several_models_answer(admin, base, project):
    make_model(project, name="tuned", folder="models/tuned", sha256="1" * 64)
    admin.post("jobs", {"kind": "sample", "model_version": base.pk, "recipe": {"others": "tuned"}})

    assert Job.objects.get().recipe["others"] == "tuned"


def test_a_job_is_stopped_and_goes_on(admin, base):
    one = admin.post("jobs", {"kind": "sample"}).json()["id"]

    assert admin.post(f"jobs/{one}/cancel").json()["state"] == "cancelled"
    assert admin.post(f"jobs/{one}/cancel").json()["state"] == "cancelled"
    assert admin.post(f"jobs/{one}/resume").json()["state"] == "queued"


def test_its_log_and_figures_come_in_order(admin, project):
    job = make_job(project, "reward")
    lines = LogLine.objects.bulk_create(LogLine(job=job, text=f"line {n}") for n in range(3))
    Metric.objects.create(job=job, name="loss", step=1, value=0.7)
    Metric.objects.create(
        job=job,
        name="accuracy",
        slice="test",
        value=0.6,
        low=0.5,
        high=0.7,
        n=12,
        method="percentile bootstrap over prompts, 2000 draws",
    )

    assert [one["text"] for one in admin.get(f"jobs/{job.pk}/log").json()["results"]] == [
        "line 0",
        "line 1",
        "line 2",
    ]
    after = admin.get(f"jobs/{job.pk}/log", after=lines[1].pk).json()["results"]
    assert [one["text"] for one in after] == ["line 2"]
    final = admin.get(f"jobs/{job.pk}/metrics", final="true").json()["results"]
    names = ("name", "slice", "step", "n", "method")
    assert [tuple(figure[name] for name in names) for figure in final] == [
        ("accuracy", "test", None, 12, "percentile bootstrap over prompts, 2000 draws")
    ]
    assert len(admin.get(f"jobs/{job.pk}/metrics", name="loss").json()["results"]) == 1


def test_what_is_no_number_is_null(admin, project):
    Metric.objects.create(job=make_job(project, "reward"), name="loss", step=1, value=math.inf)

    assert admin.get(f"jobs/{Job.objects.get().pk}/metrics").json()["results"][0]["value"] is None


def test_a_list_costs_the_same_however_long(admin, project, base, django_assert_max_num_queries):
    for _ in range(20):
        make_job(project, model_version=base)
    with django_assert_max_num_queries(5):
        assert len(admin.get("jobs", kind="sample", state="done").json()["results"]) == 20


def test_a_researcher_sees_what_they_asked_for_alone(researcher, admin, project, base):
    admin.post("jobs", {"kind": "sample"})
    assert researcher.get("jobs").json()["results"] == []
    assert researcher.get(f"jobs/{Job.objects.get().pk}").status_code == 404
    assert researcher.post("jobs", {"kind": "sample"}).status_code == 403

    frozen = researcher.post("datasets", {"kind": "prompts"}).json()["id"]
    assert [one["id"] for one in researcher.get("jobs").json()["results"]] == [frozen]


def test_labelers_know_nothing_of_jobs(labeler):
    assert labeler.get("jobs").status_code == 403
    assert code_of(labeler.get("jobs")) == "about:blank"


def test_every_setting_of_every_kind_is_told(admin):
    told = admin.client.get("/api/v1/recipes").json()["recipes"]
    sample = next(one for one in told if one["kind"] == "sample")

    assert {one["kind"] for one in told} == set(recipes.RECIPES)
    k = next(one for one in sample["settings"] if one["name"] == "k")
    assert (k["default"], k["low"], k["high"]) == (4, 1, 9)
