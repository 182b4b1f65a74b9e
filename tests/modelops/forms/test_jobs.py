"""Starting a job from its form, which is made from the recipe."""

import dataclasses
from uuid import uuid4

import pytest

from modelops import kinds, recipes
from modelops.forms import jobs
from modelops.models import Dataset, Job, ModelVersion
from people.models import AuditEvent
from tests.factories import make_model, make_person, make_project

pytestmark = pytest.mark.django_db


def weights(project, name="base"):
    return make_model(project, name, folder=f"models/{name}", sha256="0" * 64)


def scorer(project, name="reward 1"):
    return ModelVersion.objects.create(
        project=project, kind="reward", name=name, folder=f"models/{name}", sha256="0" * 64
    )


def frozen(project, kind="judgments", digest="a"):
    counts = {"rows": 3, "pairs": 12, "splits": {"train": 3}}
    return Dataset.objects.create(
        project=project, kind=kind, digest=digest * 64, folder="datasets/a", counts=counts
    )


def filled_in(project, kind, **changes):
    """The form as on the page, sent back with these changes; None leaves a box unticked."""
    form = jobs.JobForm(project, kind)
    values = {name: form.get_initial_for_field(field, name) for name, field in form.fields.items()}
    values = {
        name: getattr(value, "pk", value) for name, value in values.items() if value is not False
    } | changes
    return {name: value for name, value in values.items() if value is not None}


NO_DEFAULT = dict.fromkeys(["pull_data", "pull_model", "push"], {"repo": "owner/name"})


@pytest.mark.parametrize(
    "kind", [kind for kind in kinds.STARTABLE if kind != "freeze"]
)  # labeling/test_freeze_page
def test_the_form_as_it_stands_starts_a_job_with_the_recipes_defaults(
    client_for, project, carol, kind
):
    weights(project)
    scorer(project)
    frozen(project)
    named = NO_DEFAULT.get(kind, {})
    client_for(carol).post(f"/p/demo/jobs/new/{kind}/", filled_in(project, kind, **named))

    job = Job.objects.get()
    assert (job.kind, job.state, job.requested_by) == (kind, "queued", carol)
    assert job.recipe == vars(recipes.RECIPES[kind]()) | named


def test_each_setting_says_its_sentence(client_for, project, carol):
    weights(project)
    page = client_for(carol).get("/p/demo/jobs/new/dpo/").content.decode()

    for field in dataclasses.fields(recipes.DPORecipe):
        assert field.metadata["help"].split(";")[0] in page


def test_what_is_filled_in_is_what_the_job_is_told(client_for, project, carol):
    base, dataset = weights(project), frozen(project)
    form = filled_in(project, "dpo", epochs="0.5", lora=None, pairs="best", beta="0.3")
    client_for(carol).post("/p/demo/jobs/new/dpo/", form)

    job = Job.objects.get()
    assert (job.model_version, job.dataset) == (base, dataset)
    assert (job.recipe["epochs"], job.recipe["lora"], job.recipe["pairs"], job.recipe["beta"]) == (
        0.5,
        False,
        "best",
        0.3,
    )


@pytest.mark.parametrize(
    ("field", "wrong"),
    [("epochs", "0"), ("batch", "many"), ("pairs", "none"), ("model_version", "0")],
)
def test_a_wrong_setting_is_named_at_its_field(client_for, project, carol, field, wrong):
    weights(project)
    frozen(project)
    response = client_for(carol).post(
        "/p/demo/jobs/new/dpo/", filled_in(project, "dpo", **{field: wrong})
    )

    assert (response.status_code, list(response.context["form"].errors)) == (422, [field])
    assert not Job.objects.exists()


def test_the_same_form_twice_is_one_job(client_for, project, carol):
    weights(project)
    browser, form = client_for(carol), filled_in(project, "sample", key=uuid4())
    first, second = (browser.post("/p/demo/jobs/new/sample/", form) for _ in range(2))

    assert first.url == second.url
    assert Job.objects.count() == AuditEvent.objects.filter(project=project).count() == 1


def test_sampling_takes_as_many_answers_as_the_project_ranks(project):
    project.rules.k = 6

    assert jobs.JobForm(project, "sample").fields["k"].initial == 6


def test_model_and_dataset_can_be_chosen_by_the_link(client_for, project, carol):
    first, old = weights(project, "first"), frozen(project)
    weights(project, "second")
    frozen(project, digest="b")
    form = (
        client_for(carol)
        .get(f"/p/demo/jobs/new/dpo/?model={first.pk}&dataset={old.pk}")
        .context["form"]
    )

    assert (form["model_version"].value(), form["dataset"].value()) == (str(first.pk), str(old.pk))


def test_models_that_cannot_answer_are_not_offered(project):
    make_model(project, "known by its answers")
    offered = weights(project)

    assert list(jobs.JobForm(project, "sample").fields["model_version"].queryset) == [offered]


def test_a_model_that_a_server_answers_for_samples_and_is_not_trained(project):
    served = make_model(project, "served", address="https://models.example/v1", served_as="m@1")

    assert served in jobs.JobForm(project, "sample").fields["model_version"].queryset
    assert served not in jobs.JobForm(project, "sft").fields["model_version"].queryset


def test_other_models_and_stop_texts_are_told_line_by_line(client_for, project, carol):
    first = weights(project, "first")
    weights(project, "second")
    weights(project, "third")
    form = filled_in(
        project,
        "sample",
        model_version=first.pk,
        others=["second", "third"],
        stop="User: \r\n\r\n\\n\\n",
    )
    client_for(carol).post("/p/demo/jobs/new/sample/", form)

    recipe = recipes.SampleRecipe(**Job.objects.get().recipe)
    assert sorted(recipe.others.splitlines()) == ["second", "third"]
    assert recipe.stops == ["User: ", "\n\n"]


def test_the_best_of_several_draws_takes_who_chooses(client_for, project, carol):
    weights(project)
    judge = scorer(project)
    browser, address = client_for(carol), "/p/demo/jobs/new/sample/"
    refused = browser.post(address, filled_in(project, "sample", best_of=8))
    assert list(refused.context["form"].errors) == ["reward_model"]

    browser.post(address, filled_in(project, "sample", best_of=8, reward_model=judge.pk))
    job = Job.objects.get()
    assert (job.recipe["best_of"], job.reward_model) == (8, judge)
    assert "best of 8 by reward" in browser.get("/p/demo/jobs/").content.decode()


def test_another_projects_model_can_not_be_mixed_in(client_for, project, carol):
    weights(project)
    weights(make_project(), "theirs")
    response = client_for(carol).post(
        "/p/demo/jobs/new/sample/", filled_in(project, "sample", others=["theirs"])
    )

    assert list(response.context["form"].errors) == ["others"]


def test_sft_on_demonstrations_needs_a_dataset_of_them(client_for, project, carol):
    weights(project)
    frozen(project)
    response = client_for(carol).post(
        "/p/demo/jobs/new/sft/", filled_in(project, "sft", source="demonstrations")
    )

    assert list(response.context["form"].errors) == ["dataset"]


def test_ppo_is_told_what_scores_its_answers_and_what_it_rehearses(client_for, project, carol):
    base, old, judged = weights(project), scorer(project), frozen(project)
    scorer(project, "reward 2")
    texts = frozen(project, kind="demonstrations", digest="b")
    form = filled_in(project, "ppo", reward_model=old.pk, rehearsal=texts.pk)
    client_for(carol).post("/p/demo/jobs/new/ppo/", form)

    job = Job.objects.get()
    assert (job.model_version, job.reward_model, job.dataset, job.rehearsal) == (
        base,
        old,
        judged,
        texts,
    )


def test_ppo_takes_a_reward_model_for_a_score_and_a_policy_for_answers(project):
    base, judge, judged = weights(project), scorer(project), frozen(project)
    texts = frozen(project, kind="demonstrations", digest="b")
    fields = jobs.JobForm(project, "ppo").fields

    offered = {name: list(fields[name].queryset) for name in jobs.LINKS}
    assert offered == {
        "model_version": [base],
        "reward_model": [judge],
        "dataset": [judged],
        "rehearsal": [texts],
    }


def test_a_reward_model_can_be_chosen_by_the_link(client_for, project, carol):
    first = scorer(project)
    scorer(project, "reward 2")
    form = client_for(carol).get(f"/p/demo/jobs/new/ppo/?reward={first.pk}").context["form"]

    assert form["reward_model"].value() == str(first.pk)


def test_a_researcher_may_freeze_and_start_nothing_else(client_for, project):
    browser = client_for(make_person(project, "researcher"))

    assert browser.get("/p/demo/jobs/new/freeze/").url == "/p/demo/datasets/freeze/"
    assert (
        browser.post(
            "/p/demo/datasets/freeze/",
            {"kind": "judgments", "purpose": "training", "answers": "written", "agreement": 0},
        ).url
        == "/p/demo/datasets/"
    )
    assert browser.get("/p/demo/jobs/new/sample/").status_code == 403


def test_an_import_is_started_by_its_upload_only(client_for, project, carol):
    assert client_for(carol).get("/p/demo/jobs/new/import/").status_code == 404


def test_what_is_missing_is_said_where_it_would_be_chosen(client_for, project, carol):
    text = client_for(carol).get("/p/demo/jobs/new/reward/").content.decode()

    assert "register a folder first" in text
    assert "Nothing is frozen yet" in text
    assert "train one first" in client_for(carol).get("/p/demo/jobs/new/ppo/").content.decode()


def test_only_a_reward_model_may_go_on_from_an_earlier_one(project):
    base, earlier = weights(project), scorer(project)

    assert set(jobs.JobForm(project, "reward").fields["model_version"].queryset) == {base, earlier}
    assert jobs.JobForm(project, "reward").fields["model_version"].initial == base
    assert set(jobs.JobForm(project, "dpo").fields["model_version"].queryset) == {base}


def counted(project, **counts):
    """A frozen dataset whose training split has these good and bad answers, by each way to tell
    them apart.
    """
    dataset = frozen(project)
    told = {which: {"good": good, "bad": bad} for which, (good, bad) in counts.items()}
    Dataset.objects.filter(pk=dataset.pk).update(counts=dataset.counts | {"kto": told})
    return dataset


@pytest.mark.parametrize("numbers", [(0, 37), (12, 0), (0, 0)])
def test_kto_is_refused_at_its_dataset_without_good_or_without_bad_answers(
    client_for, project, carol, numbers
):
    weights(project)
    counted(project, half=numbers)
    response = client_for(carol).post("/p/demo/jobs/new/kto/", filled_in(project, "kto"))

    assert response.status_code == 422
    assert dict(response.context["form"].errors) == {
        "dataset": [
            f"Its training split has {numbers[0]} good and {numbers[1]} bad answers, told apart by "
            "“half”, and KTO "
            "takes both: choose another dataset, or other labels."
        ]
    }
    assert f"{numbers[0]} good and {numbers[1]} bad answers" in response.content.decode()
    assert not Job.objects.exists()


def test_kto_starts_by_labels_that_give_both(client_for, project, carol):
    weights(project)
    counted(project, half=(0, 3), ratings=(1, 2))
    browser = client_for(carol)

    assert browser.post("/p/demo/jobs/new/kto/", filled_in(project, "kto")).status_code == 422
    assert (
        browser.post(
            "/p/demo/jobs/new/kto/", filled_in(project, "kto", labels="ratings")
        ).status_code
        == 302
    )
    assert Job.objects.get().recipe["labels"] == "ratings"


def test_a_wrong_choice_of_labels_is_told_at_the_labels(client_for, project, carol):
    weights(project)
    counted(project, half=(0, 3))
    response = client_for(carol).post(
        "/p/demo/jobs/new/kto/", filled_in(project, "kto", labels="none")
    )

    assert list(response.context["form"].errors) == ["labels"]


def test_other_trainers_take_a_dataset_without_bad_answers(client_for, project, carol):
    weights(project)
    counted(project, half=(3, 0))

    assert (
        client_for(carol).post("/p/demo/jobs/new/dpo/", filled_in(project, "dpo")).status_code
        == 302
    )
