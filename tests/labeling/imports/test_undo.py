"""An import is undone as a whole, or not at all: never what somebody judged, froze or uses."""

import json
import threading
import time

import pytest
from django.db import connection

from labeling import imports
from labeling.exports import freeze
from labeling.imports import undo
from labeling.judging import criteria, reviews, threads
from labeling.judging.judgment import Judgment, Verdict
from labeling.models import (
    Assignment,
    Candidate,
    Demonstration,
    ImportedRow,
    Prompt,
    Ranking,
    RankingTask,
    Writing,
)
from labeling.quality import gold
from labeling.queue import candidates, claims, leases, set_aside
from modelops import datasets, jobs
from modelops.models import Job
from people.access import Refused
from people.models import AuditEvent, Membership
from tests.factories import make_job, make_model, make_person
from tests.labeling.api.hands import code_of
from tests.worker import work

pytestmark = pytest.mark.django_db
AB = [{"text": "a", "model": "m"}, {"text": "b", "model": "m"}]
TWO = Judgment({"a": Verdict(rank=1), "b": Verdict(rank=2)})
ROWS = [
    {"prompt": "Only a prompt?"},
    {"prompt": "To rank?", "answers": AB},
    {
        "prompt": "Ranked elsewhere?",
        "answers": AB,
        "judgments": [
            {
                "labeler": "ann",
                "ranks": [1, 2],
            }
        ],
    },
    {"prompt": "Shown?", "demonstration": "Like this."},
]
TABLES = (Prompt, Candidate, Demonstration, RankingTask, Ranking, ImportedRow)


def bring(project, tmp_path, rows=ROWS, name="rows.jsonl") -> Job:
    """The job of an import of these rows."""
    path = tmp_path / name
    path.write_text("\n".join(map(json.dumps, rows)))
    imports.import_file(None, project, path, near=False, prefixes=False)
    return Job.objects.filter(kind="import").latest("pk")


def undo_it(project, imported: Job) -> Job:
    return work(undo.request(None, project, Job.objects.get(pk=imported.pk)))


def counted() -> dict[str, int]:
    return {model.__name__: model.objects.count() for model in TABLES}


def offered() -> list[tuple]:
    """What people and datasets see of everything."""
    tasks = RankingTask.objects.order_by("pk")
    return [
        list(tasks.values_list("pk", "state", "free_places", "sort_key")),
        list(Prompt.objects.order_by("pk").values_list("pk", "published")),
        list(ImportedRow.objects.order_by("pk").values_list("pk", "published")),
        list(Ranking.objects.order_by("pk").values_list("pk", "current")),
    ]


@pytest.fixture
def imported(project, tmp_path) -> Job:
    criteria.create(None, project, key="why", scope="ranking", kind="text", question="Why?")
    return bring(project, tmp_path)


@pytest.fixture
def to_rank(imported) -> RankingTask:
    return RankingTask.objects.get(row=None)


@pytest.fixture
def ranked(imported) -> Ranking:
    return Ranking.objects.get()


@pytest.fixture
def labeler(project, alice) -> Membership:
    return Membership.objects.select_related("project", "user").get(user=alice)


# All of it


def test_all_goes_and_can_come_in_again(project, imported, tmp_path, monkeypatch):
    before = counted()
    monkeypatch.setattr(undo, "BATCH", 1)
    job = undo_it(project, imported)

    assert before == {
        "Prompt": 4,
        "Candidate": 4,
        "Demonstration": 1,
        "RankingTask": 2,
        "Ranking": 1,
        "ImportedRow": 3,
    }
    assert job.state == "done", job.error
    assert set(counted().values()) == {0}
    assert job.result == {
        "prompts": 4,
        "kept_prompts": 0,
        "answers": 4,
        "demonstrations": 1,
        "tasks": 2,
        "rankings": 1,
        "drafts": 0,
    }
    event = AuditEvent.objects.get(verb="undo import")
    assert (event.thing, event.data) == (f"job {imported.pk}", job.result)
    assert bring(project, tmp_path).result["prompts"] == 4
    assert counted() == before


def test_what_would_go_is_counted_before(project, imported):
    brought = undo.foresee(imported)

    assert undo_it(project, imported).result == vars(brought)


def test_an_import_is_undone_once(project, imported):
    undo_it(project, imported)

    with pytest.raises(Refused, match="has undone this import"):
        undo.request(None, project, Job.objects.get(pk=imported.pk))


def test_of_two_requests_at_once_the_second_is_refused(project, imported):
    undo.request(None, project, imported)

    with pytest.raises(Refused, match="undoes this import already"):
        undo.request(None, project, imported)


def test_a_check_and_an_import_that_failed_can_not_be_undone(project, imported):
    make_job(project, "import", recipe={"dry_run": True})
    make_job(project, "import", state="failed", error="No.")
    make_job(project, "import", state="queued")

    assert list(undo.of_project(project)) == [imported]


# What others use stays


def answer(project):
    model = make_model(project)
    job = make_job(project, model_version=model, recipe={"k": 1, "rank": False, "split": "all"})
    prompt = Prompt.objects.get(messages__0__content="Only a prompt?")
    sampled = candidates.Answer("c", 1, "stop", None, 0)
    candidates.add(job, [candidates.Slot(prompt, 0, model)], [sampled])


def import_answers(project, tmp_path):
    bring(project, tmp_path, [{"prompt": "Only a prompt?", "answers": AB}], "more.jsonl")


def import_a_demonstration(project, tmp_path):
    rows = [{"prompt": "Only a prompt?", "demonstration": "So."}]
    bring(project, tmp_path, rows, "more.jsonl")


def ask_somebody(project):
    prompt = Prompt.objects.get(messages__0__content="Only a prompt?")
    Writing.objects.create(project=project, kind="demonstration", prompt=prompt)


USES = {
    "a sampling": lambda project, tmp_path: answer(project),
    "another import's answers": import_answers,
    "another import's demonstration": import_a_demonstration,
    "a request for a demonstration": lambda project, tmp_path: ask_somebody(project),
}


@pytest.mark.parametrize("use", USES)
def test_a_prompt_that_is_used_besides_stays_and_is_counted(project, imported, tmp_path, use):
    USES[use](project, tmp_path)
    others = {
        model: set(model.objects.exclude(job=imported).values_list("pk", flat=True))
        for model in (Candidate, Demonstration, RankingTask)
    }
    job = undo_it(project, imported)

    assert job.state == "done", job.error
    prompt = Prompt.objects.get()
    assert (prompt.last_turn, prompt.published) == ("Only a prompt?", True)
    assert (job.result["prompts"], job.result["kept_prompts"]) == (3, 1)
    for model, pks in others.items():
        assert set(model.objects.values_list("pk", flat=True)) == pks


def test_answers_to_another_imports_prompt_go_without_it(project, tmp_path):
    first = bring(project, tmp_path, [{"prompt": "To rank?"}])
    second = bring(project, tmp_path, ROWS[1:2], "more.jsonl")
    undo_it(project, second)

    assert Prompt.objects.get().job == first
    assert Prompt.objects.get().published
    assert not Candidate.objects.exists()
    assert not RankingTask.objects.exists()


# What people did, and what was frozen, keeps the import


def judge(project, labeler, task):
    from labeling.judging import rankings

    rankings.submit(claims.next_for(labeler), TWO)


def judge_and_undo(project, labeler, task):
    from labeling.judging import rankings

    rankings.undo(rankings.submit(claims.next_for(labeler), TWO))
    leases.give_back(Assignment.objects.get(), labeler.user)


def ask_a_lead(project, labeler, task):
    place = claims.next_for(labeler)
    threads.open_on(place, "Is B meant?")
    leases.give_back(place, labeler.user)


def review(project, labeler, task):
    lead = make_person(project, "lead")
    reviews.review(lead, Ranking.objects.get(kind="imported"), "agree", "")


WORK = {
    "a judgment": (judge, "was judged here"),
    "a judgment that was undone": (judge_and_undo, "was judged here"),
    "an answer key": (
        lambda project, labeler, task: gold.make(labeler.user, task, TWO),
        "was judged here",
    ),
    "somebody at it": (
        lambda project, labeler, task: claims.next_for(labeler),
        "Somebody is at one of its tasks",
    ),
    "a question": (ask_a_lead, "has said something"),
    "a review": (review, "has said something"),
    "a dataset of judgments": (
        lambda project, labeler, task: freeze.freeze_now(None, project),
        "holds some of it",
    ),
    "a job that samples": (
        lambda project, labeler, task: make_job(
            project, state="running", claim="0" * 32, heartbeat_at="2026-01-01T00:00Z"
        ),
        "may be reading",
    ),
}


@pytest.mark.parametrize("name", WORK)
def test_what_people_did_keeps_the_import(project, imported, to_rank, labeler, name):
    do, reason = WORK[name]
    do(project, labeler, to_rank)
    before = counted(), offered()

    with pytest.raises(Refused, match=reason):
        undo.request(None, project, imported)
    with pytest.raises(Refused, match=reason):
        undo.hide(imported, make_job(project, "undo", recipe={"import_job": imported.pk}))
    assert (counted(), offered()) == before


@pytest.mark.parametrize("kind", ["prompts", "demonstrations", "text"])
def test_a_dataset_of_its_prompts_keeps_the_import(project, imported, kind):
    dataset = freeze.freeze_now(None, project, kind)
    before = counted(), offered()
    job = undo_it(project, imported)

    assert (job.state, job.error) == (
        "failed",
        f"Dataset {dataset.short} holds some of it: the import can't be undone.",
    )
    assert (counted(), offered()) == before
    datasets.delete(make_person(project, "admin"), dataset)
    assert undo_it(project, imported).state == "done"


def test_a_dataset_of_other_prompts_keeps_nothing(project, tmp_path):
    imported = bring(project, tmp_path, ROWS[:1])
    bring(project, tmp_path, [{"prompt": "Of another file?"}], "other.jsonl")
    Prompt.objects.filter(job=imported).update(use_case="left out")
    Prompt.objects.exclude(job=imported).update(use_case="frozen")
    freeze.freeze_now(None, project, "prompts", use_case="frozen")

    assert undo_it(project, imported).state == "done"


def test_who_gave_a_task_back_keeps_nothing_and_their_draft_is_counted(project, imported, labeler):
    place = claims.next_for(labeler)
    leases.save_draft(place, {"note": "Hm."})
    leases.give_back(place, labeler.user)

    assert undo.foresee(imported).drafts == 1
    assert undo_it(project, imported).result["drafts"] == 1
    assert not Assignment.objects.exists()


# Somebody is quicker, or comes in between


def test_who_claims_a_task_before_the_import_is_hidden_keeps_it(
    project, imported, labeler, monkeypatch
):
    job = undo.request(None, project, imported)
    monkeypatch.setattr(undo, "refuse_frozen_prompts", lambda *about: claims.next_for(labeler))
    done = work(job)

    assert (done.state, "Somebody is at one" in done.error) == ("failed", True)
    assert Assignment.objects.get().state == "leased"
    assert counted()["RankingTask"] == 2
    assert Prompt.objects.filter(published=True).count() == 4


def test_a_hidden_task_is_nobodys_any_more(project, imported, to_rank, labeler):
    place = claims.next_for(labeler)
    leases.give_back(place, labeler.user)
    undo.hide(imported, make_job(project, "undo", recipe={"import_job": imported.pk}))

    assert claims.next_for(labeler) is None
    with pytest.raises(claims.LeaseLost):
        claims.reclaim(place)
    assert not Ranking.objects.filter(current=True).exists()
    assert not Prompt.objects.filter(published=True).exists()


@pytest.mark.parametrize("reader", ["freeze", "sample", "import"])
def test_a_job_that_read_while_the_import_was_being_hidden_brings_it_back(
    project, imported, ranked, labeler, monkeypatch, reader
):
    """Also a task that was set aside: it stays so."""
    undone_task = RankingTask.objects.get(row=None)
    RankingTask.objects.filter(pk=undone_task.pk).update(state="set_aside", sort_key=None)
    before, hide = (counted(), offered()), undo.hide

    def hide_meanwhile(*about):
        brought = hide(*about)
        running = {"claim": "0" * 32, "heartbeat_at": "2026-01-01T00:00Z"}
        make_job(project, reader, state="running", **running)
        return brought

    monkeypatch.setattr(undo, "hide", hide_meanwhile)
    job = undo_it(project, imported)

    assert (job.state, "may be reading" in job.error) == ("failed", True)
    assert (counted(), offered()) == before
    assert undo.UNDONE_BY not in Job.objects.get(pk=imported.pk).result
    set_aside.put_back(labeler.user, undone_task)
    assert claims.next_for(labeler).task_id == undone_task.pk


def test_a_cancel_before_anything_is_deleted_brings_all_back(project, imported, monkeypatch):
    before, hide = (counted(), offered()), undo.hide
    freeze.freeze_now(None, project, "prompts", use_case="")
    job = undo.request(None, project, imported)
    monkeypatch.setattr(undo, "hide", lambda *about: (hide(*about), jobs.cancel(None, job))[0])
    monkeypatch.setattr(undo, "refuse_frozen_prompts", lambda imported, since, beat: beat(0, 0))

    assert work(job).state == "cancelled"
    assert (counted(), offered()) == before


def test_a_worker_that_is_killed_leaves_the_rest_to_the_next_one(project, imported, monkeypatch):
    remove = undo._delete
    monkeypatch.setattr(undo, "BATCH", 1)

    def killed(listed, unused, advance):
        if listed.model is Demonstration:
            raise jobs.Crashed("killed")
        remove(listed, unused, advance)

    monkeypatch.setattr(undo, "_delete", killed)
    job = undo_it(project, imported)
    assert (job.state, counted()["RankingTask"], counted()["Prompt"]) == ("queued", 0, 4)

    monkeypatch.setattr(undo, "_delete", remove)
    assert work(job).result["rankings"] == 1
    assert set(counted().values()) == {0}


def test_a_later_import_finishes_what_was_left_half_deleted(
    project, imported, tmp_path, monkeypatch
):
    """Its prompts would otherwise be duplicates of some that nobody sees."""

    def stopped(*about):
        raise jobs.JobFailed("The disk is full.")

    with monkeypatch.context() as patch:
        patch.setattr(undo, "remove", stopped)
        job = undo_it(project, imported)
    again = bring(project, tmp_path)

    assert again.result["prompts"] == 4
    assert Prompt.objects.filter(published=True, job=again).count() == 4
    jobs.resume(None, job)
    assert work(job).state == "done"
    assert counted()["Prompt"] == 4


def test_what_gets_an_answer_key_while_the_import_is_hidden_stays(
    project, tmp_path, carol, monkeypatch
):
    """Its prompt is another import's, and shown all the time."""
    bring(project, tmp_path, [{"prompt": "To rank?"}])
    imported, delete = bring(project, tmp_path, ROWS, "more.jsonl"), undo._delete
    task = RankingTask.objects.get(row=None)

    def first_make_gold(listed, unused, advance):
        if not Ranking.objects.filter(kind="gold").exists():
            gold.make(carol, task, TWO)
        delete(listed, unused, advance)

    monkeypatch.setattr(undo, "_delete", first_make_gold)
    job = undo_it(project, imported)

    assert job.state == "done", job.error
    assert RankingTask.objects.get().pk == task.pk
    assert Ranking.objects.get().kind == "gold"
    assert Candidate.objects.count() == 2
    assert (job.result["tasks"], job.result["answers"]) == (1, 2)


# Page and API


def words(page: str) -> str:
    return " ".join(page.split())


def test_the_page_counts_and_its_button_starts_the_job(client_for, project, imported, carol):
    browser = client_for(carol)
    assert f"/p/demo/prompts/upload/{imported.pk}/undo" in (
        browser.get(f"/p/demo/jobs/{imported.pk}/").content.decode()
    )
    page = browser.get(f"/p/demo/prompts/upload/{imported.pk}/undo").content.decode()
    assert "4 prompts, 4 answers, 1 demonstrations, 2 tasks and 1 rankings" in words(page)

    sent = browser.post(f"/p/demo/prompts/upload/{imported.pk}/undo")
    job = Job.objects.get(kind="undo")
    assert sent.url == f"/p/demo/jobs/{job.pk}/"
    assert job.requested_by == carol
    work(job)
    page = browser.get(sent.url).content.decode()
    assert "4 prompts, 4 answers, 1 demonstrations and 1 rankings are gone." in words(page)
    assert f"Undone by job {job.pk}" in (
        browser.get(f"/p/demo/jobs/{imported.pk}/").content.decode()
    )


def test_the_page_says_why_not_and_has_no_button_then(client_for, project, imported, carol):
    freeze.freeze_now(None, project)
    browser, address = client_for(carol), f"/p/demo/prompts/upload/{imported.pk}/undo"

    assert "holds some of it" in browser.get(address).content.decode()
    assert "Undo the import</button>" not in browser.get(address).content.decode()
    assert browser.post(address).status_code == 409
    assert not Job.objects.filter(kind="undo").exists()


@pytest.fixture
def admin(client_for, carol):
    from tests.labeling.api.hands import Hands

    return Hands(client_for(carol))


def test_a_script_counts_undoes_and_waits_for_the_job(admin, imported):
    would_go = admin.get(f"imports/{imported.pk}/undo").json()
    assert (would_go["prompts"], would_go["rankings"], would_go["why_not"]) == (4, 1, "")

    response = admin.post(f"imports/{imported.pk}/undo")
    job = Job.objects.get(kind="undo")
    assert (response.status_code, response["Location"]) == (
        202,
        f"/api/v1/projects/demo/jobs/{job.pk}",
    )
    work(job)
    assert admin.get(f"jobs/{job.pk}").json()["result"]["prompts"] == 4
    refused = admin.post(f"imports/{imported.pk}/undo")
    assert (refused.status_code, code_of(refused)) == (409, "refused")
    assert admin.get(f"imports/{imported.pk}/undo").json()["why_not"]


# At once


def at_once(person: Membership, answers: list, wait=lambda: None) -> threading.Thread:
    """A thread in which this person asks for a task."""

    def ask():
        try:
            wait()
            answers.append(claims.next_for(person))
        except Exception as error:
            answers.append(error)
        finally:
            connection.close()

    return threading.Thread(target=ask)


@pytest.mark.django_db(transaction=True)
def test_a_claim_that_is_not_committed_yet_keeps_the_import(
    project, imported, labeler, monkeypatch
):
    claimed, undoing, answers = threading.Event(), threading.Event(), []

    def hold(*about):
        """In the claim's transaction, after the place was taken."""
        claimed.set()
        undoing.wait(60)
        time.sleep(0.2)  # the undoing waits for this transaction meanwhile

    monkeypatch.setattr(claims, "_move", hold)
    thread = at_once(labeler, answers)
    thread.start()
    assert claimed.wait(60)
    undoing.set()
    with pytest.raises(Refused, match="Somebody is at one of its tasks"):
        undo.hide(imported, make_job(project, "undo", recipe={"import_job": imported.pk}))
    thread.join()

    assert [place.state for place in answers] == ["leased"]
    assert RankingTask.objects.filter(row=None, sort_key__isnull=False).exists()


@pytest.mark.django_db(transaction=True)
def test_who_asks_while_the_import_is_being_hidden_is_given_nothing(
    project, imported, labeler, monkeypatch
):
    answers, note, asked = [], undo._note, threading.Event()
    thread = at_once(labeler, answers, wait=asked.set)

    def ask_meanwhile(*about, **facts):
        """In the transaction that hides the import, after the last of its tasks was hidden."""
        thread.start()
        assert asked.wait(60)
        time.sleep(0.2)  # the claim waits for this transaction meanwhile, or passes it by
        note(*about, **facts)

    monkeypatch.setattr(undo, "_note", ask_meanwhile)
    undo.hide(imported, make_job(project, "undo", recipe={"import_job": imported.pk}))
    thread.join()

    assert answers == [None]
    assert not Assignment.objects.exists()
