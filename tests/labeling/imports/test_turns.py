"""Imports into one project take turns, on whatever database: none loses what another one has."""

import json
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import pytest
from django.conf import settings
from django.db import connection
from django.urls import reverse

from labeling import imports
from labeling.imports import prompt_templates, store, turns
from labeling.models import Candidate, Prompt, RankingTask
from modelops import jobs
from modelops.models import Job
from people.access import Refused
from people.db import locks
from tests.factories import make_project, make_prompt
from tests.labeling.api.hands import Hands, code_of
from tests.worker import work

pytestmark = pytest.mark.django_db(transaction=True)
AB = [{"text": "a", "model": "m"}, {"text": "b", "model": "m"}]
ROWS = [{"prompt": "Only a prompt?"}, {"prompt": "To rank?", "answers": AB}]
MOST = 60  # seconds


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(turns, "LOOK_EVERY", 0.01)


def requested(project, tmp_path, name="rows.jsonl") -> Job:
    path = tmp_path / name
    path.write_text("\n".join(map(json.dumps, ROWS)))
    recipe = {"path": str(path), "near": False, "prefixes": False}
    return jobs.request(None, project, "import", recipe)


def in_thread(action, *arguments) -> threading.Thread:
    def run():
        try:
            action(*arguments)
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def wait_for(condition):
    until = time.monotonic() + MOST
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def note_of(job: Job) -> str:
    return Job.objects.get(pk=job.pk).note


@contextmanager
def another_import(project):
    """Another thread has the project's turn."""
    has_it, ends = threading.Event(), threading.Event()

    def hold():
        with turns.turn(project):
            has_it.set()
            ends.wait(MOST)

    thread = in_thread(hold)
    assert has_it.wait(MOST)
    try:
        yield
    finally:
        ends.set()
        thread.join()


@pytest.fixture
def at_once(project, tmp_path, monkeypatch):
    """Runs two imports of the same rows: the second begins while the first has written all, but
    published nothing, and then ends as `end` says. Returns both jobs, and what the second waited
    for.
    """
    first, second = requested(project, tmp_path), requested(project, tmp_path)
    build, waited = store.Writer.build_tasks, []

    def run(end=lambda: None):
        def hold(writer, *about):
            if writer.job.pk == first.pk:
                threads.append(in_thread(work, second))
                wait_for(lambda: note_of(second) or Job.objects.get(pk=second.pk).state == "done")
                waited.append(note_of(second))
                end()
            build(writer, *about)

        threads = []
        monkeypatch.setattr(store.Writer, "build_tasks", hold)
        work(first)
        threads[0].join()
        return *(Job.objects.get(pk=job.pk) for job in (first, second)), waited[0]

    return run


def test_what_one_import_has_hidden_is_not_lost_if_it_fails(at_once):
    def fail():
        raise jobs.JobFailed("The disk is full.")

    first, second, waited = at_once(fail)

    assert (first.state, second.state) == ("failed", "done"), second.error
    assert waited == f"waiting for import {first.pk}"
    assert second.note == ""
    assert second.result["prompts"] == 2
    assert set(Prompt.objects.values_list("published", "job")) == {(True, second.pk)}
    assert RankingTask.objects.get().candidates.count() == 2


def test_what_one_import_has_published_is_known_to_the_next(at_once):
    first, second, _waited = at_once()

    assert (first.state, second.state) == ("done", "done"), second.error
    assert (first.result["prompts"], second.result["prompts"]) == (2, 0)
    assert (second.result["duplicates"], second.result["known"]) == (1, 1)
    assert Candidate.objects.count() == 2
    assert set(Prompt.objects.values_list("published", "job")) == {(True, first.pk)}


def test_who_waits_reads_only_then(project, tmp_path):
    """The first one says in which split a prompt is: the second may not say otherwise."""
    job = requested(project, tmp_path)
    recipe = job.recipe | {"split": "test"}
    Job.objects.filter(pk=job.pk).update(recipe=recipe)
    with another_import(project):
        thread = in_thread(work, job)
        wait_for(lambda: note_of(job))
        make_prompt(project, "Only a prompt?", split="train")
    thread.join()

    job.refresh_from_db()
    assert (job.state, "split train already" in job.error) == ("failed", True)


def test_who_waits_can_be_cancelled(project, tmp_path):
    job = requested(project, tmp_path)
    with another_import(project):
        thread = in_thread(work, job)
        wait_for(lambda: note_of(job))
        jobs.cancel(None, job)
        thread.join()

    job.refresh_from_db()
    assert (job.state, job.note) == ("cancelled", "")
    assert not Prompt.objects.exists()


def test_a_check_and_another_project_wait_for_nothing(project, tmp_path):
    check = requested(project, tmp_path)
    Job.objects.filter(pk=check.pk).update(recipe=check.recipe | {"dry_run": True})
    elsewhere = requested(make_project(slug="other"), tmp_path)
    with another_import(project):
        assert work(check).state == work(elsewhere).state == "done"


def test_the_page_says_what_a_job_waits_for(project, tmp_path, client_for, carol):
    first, second = requested(project, tmp_path), requested(project, tmp_path)
    browser = client_for(carol)
    with another_import(project):
        jobs.claim(first.pk, {"import"})
        thread = in_thread(work, second)
        wait_for(lambda: note_of(second))
        page = browser.get(f"/p/demo/jobs/{second.pk}/").content.decode()
    thread.join()

    assert f"waiting for import {first.pk}" in page


def test_prompts_of_a_request_are_refused_while_a_file_comes_in(project, client_for, carol):
    admin = Hands(client_for(carol))
    template = prompt_templates.create(carol, project, name="t", text="A {kind} of {thing}?")
    with another_import(project):
        by_script = admin.post("prompts", {"prompts": [{"prompt": "Mine?"}]})
        with pytest.raises(Refused, match="try again"):
            imports.add(carol, project, [{"prompt": "Mine?"}])
        page = client_for(carol).post(
            reverse("template", args=["demo", template.pk]),
            {"table": "kind,thing\nloaf,bread\n", "make": "1", "split": ""},
        )

    assert (by_script.status_code, code_of(by_script)) == (409, "refused")
    assert "try again" in page.content.decode()
    assert not Prompt.objects.exists()
    assert admin.post("prompts", {"prompts": [{"prompt": "Mine?"}]}).status_code == 201


def test_a_prompt_that_is_accepted_between_two_statements_is_found_by_a_second_try(
    project, tmp_path, monkeypatch
):
    accepted = make_prompt(project, "To rank?", published=True)
    prompts, looks = store.Writer._prompts, []

    def look(writer, digests):
        looks.append(1)
        return prompts(writer, digests) if len(looks) > 1 else {}

    monkeypatch.setattr(store.Writer, "_prompts", look)
    job = work(requested(project, tmp_path))

    assert (job.state, len(looks)) == ("done", 2), job.error
    assert Prompt.objects.count() == 2
    assert RankingTask.objects.get().prompt_id == accepted.pk


# The lock itself


HOLDER = """
import sys, django
django.setup()
from django.db import connection
from django.urls import reverse
connection.settings_dict["NAME"] = sys.argv[1]
from people.db import locks
with locks.held("of a test") as is_ours:
    print(is_ours, flush=True)
    sys.stdin.read()
"""


def is_free() -> bool:
    with locks.held("of a test") as is_ours:
        return is_ours


def test_a_process_that_is_killed_gives_its_lock_back():
    name = str(connection.settings_dict["NAME"])
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=settings.BASE_DIR,
        text=True,
    )
    try:
        assert holder.stdout.readline() == "True\n"
        assert not is_free()
    finally:
        holder.kill()
        holder.communicate()
    wait_for(is_free)


def test_a_lock_is_held_once_and_given_back_also_after_an_error():
    free = []

    def hold():
        with locks.held("of a test") as is_ours:
            in_thread(lambda: free.append(is_free())).join()
            raise ZeroDivisionError(is_ours)

    with pytest.raises(ZeroDivisionError, match="True"):
        hold()
    assert (free, is_free()) == ([False], True)
