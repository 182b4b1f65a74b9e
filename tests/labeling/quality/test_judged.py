"""Judged tasks are found by what is asked of them, page by page, and read in few queries."""

from datetime import timedelta

import pytest
from django.db import connection
from django.utils.timezone import now

from labeling import imports
from labeling.models import Ranking, RankingTask
from labeling.models.tasks import BEGUN
from labeling.quality import judged
from labeling.quality.judged import Wanted
from people import pseudonyms
from tests.factories import (
    make_imported_ranking,
    make_job,
    make_judge,
    make_model,
    make_person,
    make_project,
    make_prompt,
    make_ranking,
    make_task,
)

pytestmark = pytest.mark.django_db


def found(project, size=10, **wanted) -> list[int]:
    return judged.page(project, Wanted(**wanted), size).tasks


@pytest.fixture
def judged_task(project, alice):
    """Makes a task that alice has ranked."""

    def make(ranks=(1, 2, 3, 4), person=alice, **fields):
        task = make_task(project, **fields)
        make_ranking(task, person, ranks)
        return task

    return make


def test_only_judged_tasks_of_the_project_are_found_the_newest_first(project, alice, judged_task):
    first, second = judged_task(), judged_task()
    make_task(project)  # nobody judged it
    hidden = judged_task(prompt=make_prompt(project, published=False))
    elsewhere = make_task(make_project())
    make_ranking(elsewhere, alice)
    key_only = make_task(project)
    ranking = make_ranking(key_only, alice)
    Ranking.objects.filter(pk=ranking.pk).update(kind="gold")

    assert found(project) == [second.pk, first.pk]
    assert judged.read(project, [hidden.pk, elsewhere.pk, key_only.pk]) == []


def test_an_undone_judgment_is_none(project, judged_task):
    task = judged_task()
    task.rankings.update(current=False, undone_at=now())

    assert found(project) == []


@pytest.mark.parametrize(
    ("wanted", "fields"),
    [
        ({"search": "RIVERS"}, {"text": "Name three rivers."}),
        ({"search": "河流"}, {"text": "河流?"}),
        ({"source": "shared"}, {"source": "shared"}),
        ({"use_case": "chat"}, {"use_case": "chat"}),
        ({"language": "ar"}, {"language": "ar"}),
        ({"split": "test"}, {"split": "test"}),
    ],
)
def test_tasks_are_found_by_their_prompt(project, judged_task, wanted, fields):
    task = judged_task(prompt=make_prompt(project, **fields))
    judged_task(prompt=make_prompt(project, "Another one"))

    assert found(project, **wanted) == [task.pk]


def test_tasks_are_found_by_the_import_of_their_prompt_or_of_their_judgments(project, judged_task):
    brought = make_job(project, "import")
    of_prompt = judged_task(prompt=make_prompt(project, job=brought))
    of_task = judged_task(job=brought)
    judged_task()

    assert found(project, job=brought.pk) == [of_task.pk, of_prompt.pk]


def test_tasks_are_found_by_the_model_of_an_answer(project, judged_task):
    model = make_model(project)
    task = judged_task(model=model)
    judged_task()

    assert found(project, model=model.pk) == [task.pk]


def test_judge_day_and_tie_are_asked_of_one_judgment(project, alice, bob, judged_task):
    """Alice tied and bob did not: bob has no tie here, although the task has one."""
    task = judged_task(ranks=(1, 1, 2, 3), overlap=2)
    of_bob = make_ranking(RankingTask.objects.get(pk=task.pk), bob)
    Ranking.objects.filter(pk=of_bob.pk).update(created_at=now() - timedelta(days=9))
    week = now() - timedelta(days=7)

    assert found(project, ties=True) == [task.pk] == found(project, ties=False)
    assert found(project, judge=alice.uuid, ties=True) == [task.pk]
    assert found(project, judge=alice.uuid, ties=False) == []
    assert found(project, judge=bob.uuid, ties=True) == []
    assert found(project, judge=bob.uuid, since=week) == []
    assert found(project, judge=bob.uuid, until=week) == [task.pk]
    assert found(project, judge=alice.uuid, since=week) == [task.pk]


def test_what_was_not_ranked_has_neither_ties_nor_an_order(project, judged_task):
    task = judged_task(ranks=(None, None, None, None))
    task.rankings.update(outcome="all_bad")

    assert found(project) == [task.pk]
    assert found(project, ties=True) == found(project, ties=False) == []


def test_tasks_are_found_by_agreement(project, bob, judged_task):
    """Of six pairs five are alike: agreement is 5/6. What one person judged has none."""
    alike, mostly = judged_task(overlap=2), judged_task(overlap=2)
    judged_task()
    make_ranking(RankingTask.objects.get(pk=alike.pk), bob)
    make_ranking(RankingTask.objects.get(pk=mostly.pk), bob, ranks=(2, 1, 3, 4))

    assert found(project, least=1) == [alike.pk]
    assert found(project, most=0.99) == [mostly.pk]
    assert found(project, least=0.5, most=1) == [mostly.pk, alike.pk]
    assert found(project, least=5 / 6, most=5 / 6) == [mostly.pk]
    assert found(project, most=0.5) == []
    assert judged.read(project, [mostly.pk])[0].agreement == pytest.approx(5 / 6)


def test_neither_a_prompted_judgment_nor_a_key_counts_as_agreement(project, bob, judged_task):
    task = judged_task(overlap=2)
    make_ranking(RankingTask.objects.get(pk=task.pk), bob, ranks=(4, 3, 2, 1))
    task.rankings.filter(labeler=bob).update(prompted=True)

    assert found(project, least=0) == []
    assert judged.read(project, [task.pk])[0].agreement is None

    task.rankings.filter(labeler=bob).update(prompted=False, kind="adjudicated")
    assert found(project, least=0) == []
    assert judged.read(project, [task.pk])[0].agreement is None


def test_pages_lead_there_and_back(project, judged_task):
    tasks = [judged_task().pk for _ in range(5)]
    newest_first = tasks[::-1]
    first = judged.page(project, Wanted(), 2)
    second = judged.page(project, Wanted(), 2, before=first.older)
    third = judged.page(project, Wanted(), 2, before=second.older)

    assert [*first.tasks, *second.tasks, *third.tasks] == newest_first
    assert (first.newer, third.older) == (None, None)
    assert judged.page(project, Wanted(), 2, after=third.newer).tasks == second.tasks
    assert judged.page(project, Wanted(), 2, after=second.newer).tasks == first.tasks
    assert judged.page(project, Wanted(), 2, after=second.newer).newer is None


@pytest.mark.parametrize("looked_at", [1, 2, 3, 7])
@pytest.mark.parametrize("size", [1, 2, 10])
@pytest.mark.parametrize("compares", [False, True], ids=["any", "agreement"])
def test_pages_that_end_early_leave_nothing_out(
    project, bob, judged_task, monkeypatch, looked_at, size, compares
):
    """Every second task matches; each page looks through so many tasks and goes on behind them."""
    monkeypatch.setattr(judged, "LOOKED_AT", looked_at)
    monkeypatch.setattr(judged, "COMPARED", 2)
    matching = []
    for number in range(6):
        task = judged_task(overlap=2, prompt=make_prompt(project, use_case="ab"[number % 2]))
        make_ranking(RankingTask.objects.get(pk=task.pk), bob)
        if number % 2:
            matching.append(task.pk)
    wanted = Wanted(use_case="b", least=0.5 if compares else None)

    def pages(name, key):
        tasks = []
        while True:
            page = judged.page(project, wanted, size, **({name: key} if key is not None else {}))
            tasks.append(page.tasks)
            assert len(page.tasks) <= size
            key = page.older if name == "before" else page.newer
            if key is None:
                return tasks

    assert sum(pages("before", None), []) == matching[::-1]
    assert sum(reversed(pages("after", 0)), []) == matching[::-1]


def test_a_page_that_ends_early_says_so(project, judged_task, monkeypatch):
    monkeypatch.setattr(judged, "LOOKED_AT", 2)
    for _ in range(3):
        judged_task()
    page = judged.page(project, Wanted(use_case="none"), 2)

    assert page.tasks == []
    assert page.cut
    assert not judged.page(project, Wanted(use_case="none"), 2, before=page.older).cut


@pytest.mark.parametrize("compares", [False, True], ids=["any", "agreement"])
def test_a_page_takes_the_same_queries_however_many_tasks_it_holds(
    project, bob, judged_task, django_assert_num_queries, compares
):
    for _ in range(12):
        task = judged_task(overlap=2)
        make_ranking(RankingTask.objects.get(pk=task.pk), bob)
    wanted = Wanted(least=0.5 if compares else None)
    for size in (1, 12):
        with django_assert_num_queries(3 if compares else 2):
            tasks = judged.page(project, wanted, size).tasks
        with django_assert_num_queries(8):
            assert len(judged.read(project, tasks)) == size


@pytest.mark.skipif(connection.vendor != "sqlite", reason="how SQLite plans, said in its words")
@pytest.mark.parametrize("after", [None, 0], ids=["older", "newer"])
def test_a_page_walks_the_index_of_begun_tasks(project, judged_task, after):
    """Without sorting, and without a scan of a table: it ends as soon as it is full."""
    judged_task()
    wanted = Wanted("a", "b", "c", "d", "train", 1, 1, make_person().uuid, now(), now(), True, 0.5)
    order = "pk" if after == 0 else "-pk"
    walk = RankingTask.objects.filter(BEGUN, project=project, pk__gt=0).order_by(order)
    plan = judged._matching(walk, wanted).values_list("pk", flat=True)[:10].explain()

    assert (
        plan.splitlines()[0].endswith(
            "SEARCH labeling_rankingtask USING COVERING INDEX begun_tasks (project_id=? AND id>?)"
        )
        or "USING INDEX begun_tasks (project_id=?" in plan.splitlines()[0]
    ), plan
    assert "SCAN" not in plan
    assert "TEMP B-TREE FOR ORDER BY" not in plan.splitlines()[1]


def test_a_task_reads_as_it_would_be_frozen_with_judgments_before_keys(
    project, alice, bob, judged_task
):
    task = judged_task(ranks=(2, 1, 2, 3), overlap=3)
    key = make_ranking(RankingTask.objects.get(pk=task.pk), bob)
    Ranking.objects.filter(pk=key.pk).update(kind="gold")
    judge = make_judge("model", "gpt")
    make_imported_ranking(task, judge)
    [read] = judged.read(project, [task.pk])

    assert [answer["text"] for answer in read.row["answers"]] == ["bad", "fair", "good", "poor"]
    assert [one["kind"] for one in read.row["judgments"]] == ["labeler", "imported", "gold"]
    assert read.row["judgments"][0]["ranks"] == [3, 1, 2, 2]
    assert [one.labeler for one in read.rankings] == [alice, None, bob]
    assert read.rankings[1].by == judge


def test_what_a_filter_offers_comes_from_the_newest_tasks(project, alice, judged_task):
    judged_task(
        prompt=make_prompt(project, source="web", use_case="chat", language="en"),
        model=make_model(project, "writer"),
    )
    make_imported_ranking(judged_task(model=make_model(project, "other")), make_judge(name="gpt"))
    newest = judged.newest(project)

    assert {str(judge) for judge in judged.judges(newest)} == {str(alice), "gpt"}
    assert judged.values(newest) == {"source": ["web"], "use_case": ["chat"], "language": ["en"]}
    assert judged.models(newest) == ["other", "writer"]
    assert judged.values([]) == {"source": [], "use_case": [], "language": []}


def test_a_judge_is_found_by_the_pseudonym_in_the_project(project, alice):
    pseudonym = pseudonyms.of(project, alice.uuid)

    assert judged.judge_of(project, pseudonym) == alice.uuid
    assert judged.judge_of(make_project(), pseudonym) is None


def test_imported_judgments_are_found(project, carol):
    """Their tasks have no free place, so that the index holds them. The storm asks for the rest."""
    row = {
        "prompt": "Why?",
        "answers": ["a", "b"],
        "judgments": [{"labeler": "x", "ranks": [1, 2]}],
    }
    imports.add(carol, project, [row, {"prompt": "Not judged?", "answers": ["a", "b"]}])
    [read] = judged.read(project, found(project))

    assert read.row["messages"][0]["content"] == "Why?"
    assert read.row["judgments"][0]["ranks"] == [1, 2]
