"""The loop: its counts, and the one useful next step."""

from uuid import uuid4

import pytest
from django.utils.timezone import now

from labeling.exports import freeze
from labeling.loop import status
from modelops.models import Metric, ModelVersion
from tests.factories import make_job, make_model, make_person, make_prompt, make_ranking, make_task
from tests.pages import one_line

pytestmark = pytest.mark.django_db


def base():
    return make_model(None, "Base", folder="models/base", sha256="0" * 64)


def train(project, dataset, kind, name):
    job = make_job(project, "reward" if kind == "reward" else "dpo", dataset=dataset)
    return ModelVersion.objects.create(
        project=project,
        kind=kind,
        name=name,
        job=job,
        dataset=dataset,
        folder=f"models/{name}",
        sha256="1" * 64,
    )


def test_the_loop_lights_its_stations_one_after_the_other(project, alice, carol):
    def following():
        return status.of_project(project).next

    assert following() == "prompts"
    prompt = make_prompt(project)
    assert following() == "policy"  # nobody there to answer
    model = base()
    assert following() == "candidates"
    task = make_task(
        project, prompt=prompt, model=model, job=make_job(project, model_version=model, done=4)
    )
    assert following() == "rankings"
    make_ranking(task, alice)
    assert following() == "dataset"
    dataset = freeze.freeze_now(carol, project)
    assert following() == "reward"
    train(project, dataset, "reward", "reward 1")
    assert following() == "policy"
    assistant = train(project, dataset, "policy", "assistant 1")
    assert following() == "candidates"  # the next round
    make_job(project, state="queued", model_version=assistant)
    assert following() == "rankings"  # as soon as answers come in


@pytest.mark.parametrize("state", ["running", "done"])
def test_a_model_tuned_on_a_reward_model_comes_from_what_this_one_learned(
    project, alice, carol, state
):
    base()
    make_ranking(make_task(project), alice)
    judge = train(project, freeze.freeze_now(carol, project), "reward", "reward 1")
    assert status.of_project(project).next == "policy"

    claim = {"claim": uuid4(), "heartbeat_at": now()} if state == "running" else {}
    job = make_job(project, "ppo", state=state, reward_model=judge, **claim)
    if state == "done":
        fields = {"name": "assistant 1", "folder": "m", "sha256": "2" * 64}
        ModelVersion.objects.create(project=project, kind="policy", job=job, **fields)
    assert "policy" in status.of_project(project).trained_on


def test_a_model_that_answered_beside_another_one_has_sampled(project):
    tuned = make_model(project, "tuned", job=make_job(project, "dpo"))
    assert not status.of_project(project).policies.sampled

    first = make_model(project, "first")
    make_task(project, model=tuned, job=make_job(project, model_version=first))
    assert status.of_project(project).policies.sampled


def test_enough_pairs_are_worth_freezing_while_tasks_are_open(project, alice):
    base()
    for _ in range(34):
        make_ranking(make_task(project), alice)
    make_task(project)

    loop = status.of_project(project)
    assert (loop.unfrozen.pairs, loop.rankings.free, loop.next) == (204, 1, "dataset")


def test_frozen_pairs_are_not_counted_again(project, alice, carol):
    make_ranking(make_task(project), alice, ranks=[1, 2, 2, 3])
    assert status.of_project(project).unfrozen.pairs == 5

    freeze.freeze_now(carol, project)
    assert status.of_project(project).unfrozen.pairs == 0


def test_agreement_and_ties_are_measured_on_tasks_of_several_people(project, alice, bob):
    project.rules.overlap = 2
    task = make_task(project, overlap=2)
    make_ranking(task, alice, ranks=[1, 2, 3, 4])
    task.refresh_from_db()
    make_ranking(task, bob, ranks=[1, 1, 3, 2])  # orders five pairs, four of them as alice does
    rankings = status.of_project(project).rankings

    assert rankings.agreement == pytest.approx(80)
    assert rankings.ties == pytest.approx(100 / 12)
    assert (rankings.total, rankings.people, rankings.filled, rankings.places) == (2, 2, 2, 2)


def test_without_two_judges_there_is_no_agreement(project, alice):
    make_ranking(make_task(project), alice)

    assert status.of_project(project).rankings.agreement is None


def test_the_page_shows_accuracy_with_its_yardstick(client_for, carol, project):
    make_prompt(project)
    job = train(project, None, "reward", "reward 1").job
    for name, value in (("accuracy", 0.689), ("longer_answer_accuracy", 0.551)):
        Metric.objects.create(
            job=job, name=name, slice="held-out", value=value, low=value - 0.02, high=value + 0.02
        )
    text = one_line(client_for(carol).get("/p/demo/loop/"))

    assert "68.9 %" in text
    assert "longer answer: 55.1 %" in text


def test_the_page_says_how_far_ranking_is_and_whether_a_job_runs(client_for, carol, project):
    base()
    make_task(project, overlap=2)
    idle = one_line(client_for(carol).get("/p/demo/loop/"))
    make_job(project, "reward", state="queued")
    at_work = one_line(client_for(carol).get("/p/demo/loop/"))

    assert "0 of 2 rankings are done or in progress. Ranking is the next step." in idle
    assert "in progress. A job is running; people can rank in the meantime." in at_work


def test_one_button_is_loud(client_for, carol, project):
    text = client_for(carol).get("/p/demo/loop/").content.decode()

    assert text.count('class="button go"') == 1
    assert "Upload its first prompts" in text


def test_the_page_takes_a_constant_number_of_queries(
    client_for, carol, project, alice, django_assert_max_num_queries
):
    browser = client_for(carol)
    for _ in range(30):
        make_ranking(make_task(project), alice)
    for number in range(10):
        train(project, None, "policy", f"assistant {number}")
    with django_assert_max_num_queries(38):
        browser.get("/p/demo/loop/")


@pytest.mark.parametrize(
    ("role", "home"),
    [("admin", "loop"), ("researcher", "datasets"), ("lead", "rank"), ("labeler", "rank")],
)
def test_everybody_lands_where_their_work_is(client_for, project, role, home):
    assert client_for(make_person(project, role)).get("/p/demo/").url == f"/p/demo/{home}/"
