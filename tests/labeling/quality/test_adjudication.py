"""Adjudication: a lead settles what people see differently; what people said stays and counts as
before.
"""

from datetime import timedelta

import pytest
from django.utils.timezone import now

from labeling.exports import freeze
from labeling.judging.judgment import Judgment, Verdict
from labeling.loop import status
from labeling.models import Assignment, Ranking, RankingTask
from labeling.quality import adjudication, gold
from modelops import datasets, rows
from people.access import Refused
from people.models import AuditEvent
from tests.factories import make_person, make_ranking, make_task

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("in_slot_order")]


@pytest.fixture
def lead(project):
    return make_person(project, "lead", "lea")


@pytest.fixture
def ranked(project, alice, bob):
    """Makes a task of two places, ranked by two people."""

    def make(first=(1, 2, 3, 4), second=(1, 2, 3, 4), **fields) -> RankingTask:
        task = make_task(project, overlap=2, **fields)
        make_ranking(RankingTask.objects.get(pk=task.pk), alice, first)
        make_ranking(RankingTask.objects.get(pk=task.pk), bob, second)
        return RankingTask.objects.get(pk=task.pk)

    return make


def judgment(*ranks) -> Judgment:
    return Judgment({letter: Verdict(rank=rank) for letter, rank in zip("abcd", ranks)})


def disputed(project, person):
    return [one.task for one in adjudication.disputes(project, person)]


# What there is to settle


def test_the_least_agreement_comes_first_and_agreement_not_at_all(project, lead, ranked):
    ranked()
    some = ranked(second=(2, 1, 3, 4))
    none = ranked(second=(4, 3, 2, 1))
    [first, second] = adjudication.disputes(project, lead)

    assert (first.task, first.judges, first.agreed, first.compared, first.agreement) == (
        none,
        2,
        0,
        6,
        0,
    )
    assert (second.task, second.agreed, second.compared) == (some, 5, 6)


def test_a_tie_is_no_disagreement(project, lead, ranked):
    ranked(first=(1, 1, 2, 3), second=(2, 1, 3, 4))
    assert disputed(project, lead) == []


def test_what_is_settled_comes_last(project, lead, ranked):
    one, other = ranked(second=(2, 1, 3, 4)), ranked(second=(4, 3, 2, 1))
    adjudication.settle(lead, other, judgment(1, 2, 3, 4))

    assert disputed(project, lead) == [one, other]
    assert [one.settled for one in adjudication.disputes(project, lead)] == [False, True]


def test_a_task_that_somebody_is_still_to_rank_is_nobodys_to_settle(project, lead, alice, ranked):
    task = ranked(second=(4, 3, 2, 1))
    RankingTask.objects.filter(pk=task.pk).update(overlap=3, free_places=1)

    assert disputed(project, lead) == []
    with pytest.raises(Refused, match="fully ranked"):
        adjudication.settle(lead, task, judgment(1, 2, 3, 4))


def test_who_is_still_at_a_task_does_not_read_there_what_the_others_said(
    client_for, project, lead, ranked
):
    task = ranked(second=(4, 3, 2, 1))
    at_it = Assignment.objects.create(
        task=task,
        labeler=lead,
        project=project,
        place=0,
        order=[],
        leased_until=now() + timedelta(hours=1),
    )
    assert disputed(project, lead) == []
    assert client_for(lead).get(f"/p/demo/tasks/{task.pk}/settle").status_code == 404
    with pytest.raises(Refused, match="fully ranked"):
        adjudication.settle(lead, task, judgment(1, 2, 3, 4))

    Assignment.objects.filter(pk=at_it.pk).update(state="submitted", leased_until=None)
    assert disputed(project, lead) == [task]


def test_sensitive_prompts_are_settled_by_who_is_willing(project, lead, ranked):
    task = ranked(second=(4, 3, 2, 1))
    type(task.prompt).objects.update(sensitive=True)
    assert disputed(project, lead) == []

    lead.sensitive = True
    assert disputed(project, lead) == [task]


def test_the_list_costs_the_same_for_many(project, lead, ranked, django_assert_num_queries):
    for _ in range(3):
        ranked(second=(4, 3, 2, 1))
    with django_assert_num_queries(4):
        adjudication.disputes(project, lead)


# Settling


def test_a_lead_settles_in_the_ranking_form(client_for, project, lead, ranked):
    task = ranked(second=(4, 3, 2, 1))
    browser, address = client_for(lead), f"/p/demo/tasks/{task.pk}/settle"
    page = browser.get(address).content.decode()
    assert "A &gt; B &gt; C &gt; D" in page
    assert "D &gt; C &gt; B &gt; A" in page
    assert "Alice" not in page
    assert task.candidates.first().model_version.name not in page

    form = {
        "rank-a": 2,
        "rank-b": 1,
        "rank-c": 2,
        "rank-d": 4,
        "key": "0a0b0c0d-0000-4000-8000-000000000000",
    }
    for _ in range(2):  # the form may come twice
        assert browser.post(address, form).url == "/p/demo/settle/"
    made = Ranking.objects.get(kind="adjudicated")
    assert (made.labeler, made.assignment, made.current, made.revision) == (None, None, True, 1)
    assert list(made.ranked.order_by("candidate__slot").values_list("rank", flat=True)) == [
        2,
        1,
        2,
        3,
    ]
    assert AuditEvent.objects.get(verb="settle").actor == lead
    assert 'name="order" value="bacd"' in browser.get(address).content.decode()


def test_the_next_disagreement_opens(client_for, lead, ranked):
    some, none = ranked(second=(2, 1, 3, 4)), ranked(second=(4, 3, 2, 1))
    browser = client_for(lead)

    def settle(task):
        return browser.post(f"/p/demo/tasks/{task.pk}/settle", {"outcome": "all_bad"}).url

    assert settle(none) == f"/p/demo/tasks/{some.pk}/settle"
    assert "The task is adjudicated." in browser.get(settle(some)).content.decode()
    assert settle(none) == "/p/demo/settle/"  # nothing is left


def test_both_bad_settles_too_and_a_half_done_form_does_not(client_for, lead, ranked):
    task = ranked(second=(4, 3, 2, 1))
    browser, address = client_for(lead), f"/p/demo/tasks/{task.pk}/settle"
    assert browser.post(address, {"rank-a": 1}).status_code == 422
    assert browser.post(address, {"outcome": "all_bad"}).status_code == 302
    assert Ranking.objects.get(kind="adjudicated").outcome == "all_bad"


def test_it_is_taken_back_and_said_again(client_for, project, lead, ranked):
    task = ranked(second=(4, 3, 2, 1))
    adjudication.settle(lead, task, judgment(1, 2, 3, 4))
    page = client_for(lead).get("/p/demo/settle/").content.decode()
    assert "Undo adjudication" in page
    for _ in range(2):
        client_for(lead).post(f"/p/demo/tasks/{task.pk}/unsettle")
    assert adjudication.settled(task) is None

    adjudication.settle(lead, task, judgment(2, 1, 3, 4))
    assert adjudication.settled(task).revision == 2
    assert list(
        AuditEvent.objects.filter(project=project).order_by("pk").values_list("verb", flat=True)
    ) == [
        "settle",
        "unsettle",
        "settle",
    ]


def test_one_judgment_is_no_dispute_and_a_gold_task_has_its_key(
    project, lead, carol, alice, ranked
):
    task = make_task(project, overlap=1)
    make_ranking(task, alice)
    with pytest.raises(Refused, match="Fewer than two"):
        adjudication.settle(lead, RankingTask.objects.get(pk=task.pk), judgment(1, 2, 3, 4))

    other = ranked(second=(4, 3, 2, 1))
    gold.make(carol, other, judgment(1, 2, 3, 4))
    with pytest.raises(Refused):
        adjudication.settle(lead, other, judgment(1, 2, 3, 4))


def test_an_admin_finds_it_on_the_prompts_page(client_for, carol, lead, ranked):
    task = ranked(second=(4, 3, 2, 1))
    adjudication.settle(lead, task, judgment(1, 2, 3, 4))
    page = client_for(carol).get(f"/p/demo/prompts/{task.prompt_id}/").content.decode()

    assert "adjudicated" in page
    assert "2 rankings" in page


# What becomes of it


def test_no_figure_counts_what_was_settled(project, lead, ranked):
    task = ranked(second=(4, 3, 2, 1))
    before = status.count_rankings(project), status.count_unfrozen(project)
    adjudication.settle(lead, task, judgment(1, 2, 3, 4))

    assert (status.count_rankings(project), status.count_unfrozen(project)) == before


def test_a_freeze_takes_what_people_said_or_what_was_settled(project, lead, ranked):
    task = ranked(second=(4, 3, 2, 1))
    ranked()
    adjudication.settle(lead, task, judgment(2, 1, 3, 4))

    def frozen(**chosen):
        folder = datasets.path(freeze.freeze_now(None, project, **chosen))
        return [[one["kind"] for one in row["judgments"]] for row in rows.read(folder)]

    assert sorted(frozen()) == [["labeler", "labeler"]] * 2
    assert frozen(adjudicated=True, agreement=0.9) == [["adjudicated"]]
