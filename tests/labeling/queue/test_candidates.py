"""A sampling job's empty slots, read while others write."""

import threading

import pytest
from django.db import connection

from labeling.models import Candidate, RankingTask
from labeling.queue import candidates
from labeling.queue.candidates import Answer
from modelops import jobs
from people.models import Project
from tests.factories import make_job, make_model, make_project, make_prompt


def elsewhere(body):
    def run():
        body()
        connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()


def fill(job, batch=100, between=lambda: None):
    for slots in candidates.missing(job, batch):
        between()
        candidates.add(
            job, slots, [Answer(f"an\0swer {slot.number}", 2, "stop", -1.0, 7) for slot in slots]
        )


@pytest.mark.django_db(transaction=True)
def test_many_prompts_are_filled_while_others_write():
    project = make_project()
    for _ in range(candidates.GROUP + 5):
        make_prompt(project)
    job = jobs.request(None, project, "sample", {"k": 2}, model_version=make_model(project))

    fill(
        job,
        between=lambda: elsewhere(
            lambda: Project.objects.filter(pk=project.pk).update(name="written")
        ),
    )

    assert Candidate.objects.filter(job=job).count() == 2 * (candidates.GROUP + 5)
    assert RankingTask.objects.filter(job=job, free_places=1).count() == candidates.GROUP + 5
    assert set(Candidate.objects.values_list("text", flat=True)) == {"answer 0", "answer 1"}
    assert list(candidates.missing(job, 100)) == []


@pytest.mark.django_db
def test_only_empty_slots_are_filled_again():
    project = make_project()
    prompts = [make_prompt(project) for _ in range(3)]
    job = jobs.request(None, project, "sample", {"k": 3}, model_version=make_model(project))
    fill(job)
    Candidate.objects.filter(job=job, prompt=prompts[1], slot=2).delete()

    [[slot]] = candidates.missing(job, 8)

    assert (slot.prompt, slot.number) == (prompts[1], 2)


@pytest.mark.django_db
def test_one_answer_alone_makes_no_task():
    project = make_project()
    make_prompt(project)
    job = jobs.request(None, project, "sample", {"k": 1}, model_version=make_model(project))

    fill(job)

    assert not RankingTask.objects.exists()


@pytest.mark.django_db
def test_a_job_for_unanswered_prompts_keeps_to_those_that_no_earlier_job_has_answered():
    project = make_project()
    old, fresh = make_prompt(project), make_prompt(project)
    model = make_model(project)
    first = make_job(project, model_version=model)
    Candidate.objects.create(prompt=old, model_version=model, job=first, slot=0, text="known")
    recipe = {"k": 2, "unanswered": True}

    job, later = (
        jobs.request(None, project, "sample", recipe, model_version=model) for _ in range(2)
    )
    fill(job)

    assert set(Candidate.objects.filter(job=job).values_list("prompt", flat=True)) == {fresh.pk}
    assert candidates.wanted(job) == 2, "its own answers leave it what it was asked to do"
    assert candidates.wanted(later) == 0
