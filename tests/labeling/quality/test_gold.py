"""Gold tasks: an admin gives the key, labelers are given them among others and can't tell, and
nothing else counts them.
"""

import re

import pytest
from django.db import connection

from labeling import project_settings
from labeling.exports import freeze
from labeling.judging import judgment, rankings
from labeling.judging.progress import count_progress
from labeling.loop import status
from labeling.models import Candidate, Prompt, Ranking, RankingTask
from labeling.quality import gold
from labeling.queue import claims, leases
from labeling.writing import drafts
from people.models import AuditEvent, Membership
from tests.factories import make_model, make_person, make_ranking, make_task
from tests.flows import recount

pytestmark = pytest.mark.django_db

HTMX = {"HX-Request": "true"}
RANK = "/p/demo/rank/"


def ranks(a, b) -> judgment.Judgment:
    return judgment.Judgment({"a": judgment.Verdict(rank=a), "b": judgment.Verdict(rank=b)})


def of(person) -> Membership:
    return Membership.objects.select_related("project", "user").get(user=person)


def next_for(person):
    return claims.next_for(of(person))


def rank_next(person, best="good"):
    """This person is given a task, puts that answer first, and returns the task."""
    held = next_for(person)
    first = Candidate.objects.get(pk=held.order[0]).text == best
    rankings.submit(held, ranks(1, 2) if first else ranks(2, 1))
    return held.task


def make_gold(project, carol, **fields) -> RankingTask:
    task = make_task(project, texts=["good", "poor"], **fields)
    gold.make(carol, task, ranks(1, 2))
    return fresh(task)


def fresh(task) -> RankingTask:
    return RankingTask.objects.get(pk=task.pk)


@pytest.fixture
def project(project, monkeypatch):
    """Whenever gold may be drawn, it is."""
    monkeypatch.setattr(claims, "drawn", lambda percent: True)
    project.rules.gold_share = 10
    project.rules.save()
    return project


# The key


def test_an_admin_gives_the_key_in_the_ranking_form(client_for, project, carol):
    task = make_task(project)
    browser, address = client_for(carol), f"/p/demo/tasks/{task.pk}/gold"
    assert 'name="rank-d"' in browser.get(address).content.decode()
    form = {"rank-a": 1, "rank-b": 2, "rank-c": 2, "rank-d": 4, "note": "C is no worse"}
    assert browser.post(address, form).url == f"/p/demo/prompts/{task.prompt_id}/"

    key = Ranking.objects.get()
    assert (key.kind, key.labeler, key.assignment, key.current) == ("gold", None, None, True)
    assert list(key.ranked.order_by("candidate__slot").values_list("rank", flat=True)) == [
        1,
        2,
        2,
        3,
    ]
    assert AuditEvent.objects.get(verb="make gold").actor == carol
    again = browser.get(address).content.decode()
    assert "C is no worse</textarea>" in again
    assert re.search(r'name="order" value="abcd"', again)


@pytest.mark.parametrize(
    "form", [{}, {"rank-a": 1}, {"rank-a": 1, "rank-b": 1}, {"outcome": "all_bad"}]
)
def test_a_key_puts_all_answers_in_some_order(client_for, project, carol, form):
    task = make_task(project, texts=["a", "b"])
    response = client_for(carol).post(f"/p/demo/tasks/{task.pk}/gold", form)

    assert response.status_code == 422
    assert fresh(task).purpose == "training"


def test_the_same_form_twice_is_one_key_and_another_one_a_revision(client_for, project, carol):
    task = make_task(project, texts=["a", "b"])
    form = {"rank-a": 1, "rank-b": 2, "key": "0a0b0c0d-0000-4000-8000-000000000000"}
    for one in (form, form, {"rank-a": 2, "rank-b": 1}):
        client_for(carol).post(f"/p/demo/tasks/{task.pk}/gold", one)

    assert list(Ranking.objects.order_by("revision").values_list("revision", "current")) == [
        (1, False),
        (2, True),
    ]


def test_a_key_by_strength(client_for, project, carol):
    project_settings.change(carol, project, strength=True)
    task = make_task(project, texts=["a", "b"])
    client_for(carol).post(f"/p/demo/tasks/{task.pk}/gold", {"strength": "-2"})

    assert Ranking.objects.get().strength == -2
    assert list(Ranking.objects.get().ranked.order_by("shown").values_list("rank", flat=True)) == [
        2,
        1,
    ]


def test_admins_find_gold_tasks_again(client_for, project, carol):
    task, other = make_gold(project, carol), make_task(project)
    browser = client_for(carol)
    page = browser.get("/p/demo/prompts/?gold=1").content.decode()

    assert task.prompt.last_turn in page
    assert other.prompt.last_turn not in page
    page = browser.get(f"/p/demo/prompts/{task.prompt_id}/").content.decode()
    assert "answer key" in page
    assert "0 rankings" in page


# The stream


def test_gold_comes_in_place_of_another_task_which_is_next_then(project, alice, carol):
    golden, plain = make_gold(project, carol), make_task(project, texts=["good", "poor"])

    assert rank_next(alice) == golden
    assert rank_next(alice) == plain
    assert next_for(alice) is None


def test_everybody_may_judge_a_gold_task_and_each_once(project, carol):
    golden = make_gold(project, carol, overlap=1)
    make_task(project, texts=["good", "poor"], overlap=9)
    people = [make_person(project) for _ in range(4)]

    assert [rank_next(person) for person in people] == [golden] * 4
    assert golden not in [rank_next(person) for person in people]
    assert sorted(golden.assignments.values_list("place", flat=True)) == [0, 1, 2, 3]


def test_the_task_ahead_may_be_gold(project, alice, carol):
    make_task(project, texts=["good", "poor"])
    at_hand = next_for(alice)
    make_task(project, texts=["good", "poor"])
    golden = make_gold(project, carol)

    assert claims.lease_ahead(of(alice), at_hand.pk).task == golden


def test_an_empty_queue_gives_no_gold_for_looking_again(project, alice, carol):
    make_gold(project, carol)

    assert next_for(alice) is None


def test_without_a_share_nobody_is_given_gold(project, alice, carol):
    make_gold(project, carol)
    plain = make_task(project, texts=["good", "poor"])
    project_settings.change(carol, project, gold_share=0)

    assert next_for(alice).task == plain


def test_who_knows_the_keys_is_given_none(project, carol):
    make_gold(project, carol)
    plain = make_task(project, texts=["good", "poor"])

    assert next_for(carol).task == plain


def test_the_share_is_drawn_with_the_chance_that_the_project_says():
    drawn = sum(claims.drawn(20) for _ in range(10_000))

    assert 1_800 < drawn < 2_200, "five standard deviations either way"
    assert not any(claims.drawn(0) for _ in range(1_000))


def test_a_gold_task_that_several_people_skip_is_set_aside_and_put_back_as_gold(
    project, alice, bob, carol, client_for
):
    project_settings.change(carol, project, skips_to_set_aside=2)
    golden = make_gold(project, carol)
    plain = make_task(project, texts=["good", "poor"])
    for person in (alice, bob):
        leases.skip(next_for(person), "broken")
    dana = make_person(project)
    assert fresh(golden).state == "set_aside"
    assert next_for(dana).task == plain

    client_for(carol).post(f"/p/demo/tasks/{golden.pk}/put-back")
    make_task(project, texts=["good", "poor"])
    assert next_for(make_person(project)).task == golden
    recount.places_add_up(fresh(golden), list(golden.assignments.all()))


def test_undo_and_revision_of_gold_are_like_any_other(project, alice, carol):
    golden = make_gold(project, carol)
    make_task(project, texts=["good", "poor"])
    rank_next(alice)

    undone = rankings.undo(rankings.last_of(project, alice))
    assert next_for(alice) == undone
    rankings.submit(undone, ranks(1, 1))
    assert rankings.revise(undone, ranks(1, 2)).task == golden


@pytest.mark.django_db
def test_the_claim_of_a_gold_task_uses_its_index(project, alice, carol):
    make_gold(project, carol)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                "SET LOCAL enable_seqscan = off"
            )  # a handful of rows would be scanned faster
            cursor.execute("SET LOCAL enable_sort = off")
        sql, params = claims._gold_for(alice, project)[:1].query.sql_with_params()
        cursor.execute(
            ("EXPLAIN QUERY PLAN " if connection.vendor == "sqlite" else "EXPLAIN ") + sql, params
        )
        plan = str(cursor.fetchall())

    assert "gold_tasks" in plan
    assert "TEMP B-TREE" not in plan


# Blind


def test_no_response_tells_a_gold_task_from_another(client_for, project, carol):
    """Two people are given the same prompt and answers, one of them as gold: every response is the
    same to the letter.
    """
    model, texts = make_model(project), ["an answer"] * 4
    make_task(project, overlap=2)
    same, _after, twin = (make_task(project, texts, model=model) for _ in range(3))
    Prompt.objects.update(messages=same.prompt.messages)
    gold.make(
        carol,
        twin,
        judgment.Judgment({letter: judgment.Verdict(rank=n) for n, letter in enumerate("abcd", 1)}),
    )
    seen = []
    for share in (0, 10):
        person = make_person(project, name=f"twin-{share}")
        project_settings.change(carol, project, gold_share=0)
        at_hand = next_for(person)
        project_settings.change(carol, project, gold_share=share)
        ahead = claims.lease_ahead(of(person), at_hand.pk)
        seen.append(
            (
                ahead.task,
                [plain(one, person) for one in responses(client_for(person), at_hand, ahead)],
            )
        )

    (first, as_plain), (second, as_gold) = seen
    assert (first, second) == (same, twin)
    assert as_plain == as_gold
    assert "gold" not in "".join(as_gold).lower()


def responses(client, at_hand, ahead):
    """Everything that a labeler is sent about the task that was leased ahead."""
    form = {"rank-a": 1, "rank-b": 2, "rank-c": 3, "rank-d": 4}
    yield client.get(f"{RANK}{at_hand.pk}/ahead", headers=HTMX)
    yield client.post(
        f"{RANK}{at_hand.pk}/submit", form, headers=HTMX | {"Podium-Next": str(ahead.pk)}
    )
    yield client.get(RANK)
    yield client.post(f"{RANK}{ahead.pk}/draft", {"note": "n"})
    yield client.post(f"{RANK}{ahead.pk}/submit", {})
    yield client.post(f"{RANK}{ahead.pk}/submit", form, headers=HTMX)
    yield client.get(f"{RANK}history/")
    yield client.get(f"{RANK}{ahead.pk}/revise")
    yield client.post(f"{RANK}undo", {"ranking": Ranking.objects.latest("pk").pk}, headers=HTMX)
    yield client.post(f"{RANK}{ahead.pk}/skip", {"reason": "other"}, headers=HTMX)


def plain(response, person) -> str:
    """The response without what differs between any two tasks: keys, numbers, times, the person's
    name, and the id that each request has.
    """
    headers = {name: value for name, value in response.items() if name != "X-Request-ID"}
    text = response.content.decode() + str(sorted(headers.items()))
    text = re.sub(r"<progress.*?</progress> \d+ %", "", text).replace(person.name, "")
    text = re.sub(
        r'(csrfmiddlewaretoken" value|X-CSRFToken&quot;: &quot;|"X-CSRFToken": |nonce)=?"?[^"]*"',
        "",
        text,
    )
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "", text)
    return re.sub(r"\d+", "0", text)


# What it does not count in


def test_gold_enters_no_dataset_and_no_figure_of_the_project(project, alice, bob, carol):
    make_task(project, texts=["good", "poor"], overlap=2)
    make_gold(project, carol)
    for person in (alice, bob, alice, bob):
        rank_next(person)
    found = status.count_rankings(project)

    assert Ranking.objects.filter(current=True).count() == 5, "four judgments and the key"
    assert (found.total, found.people, found.places, found.free) == (2, 2, 2, 0)
    assert count_progress(project) == 100
    assert status.count_unfrozen(project).rankings == 2
    counts = freeze.freeze_now(carol, project).counts
    assert (counts["rows"], counts["pairs"]) == (1, 2)


def test_gold_counts_in_one_s_own_day(client_for, project, alice, carol):
    make_gold(project, carol)
    make_task(project, texts=["good", "poor"])
    rank_next(alice)

    assert "<b>1</b> today" in client_for(alice).get(RANK).content.decode()


def test_what_is_written_from_the_best_answer_tells_no_key(project, carol):
    golden = make_gold(project, carol)
    assert drafts.best_answer(golden.prompt_id) == ""


def test_a_gold_task_with_others_is_none_that_may_come_back(client_for, project, alice, bob, carol):
    make_gold(project, carol)
    make_task(project, texts=["good", "poor"])
    next_for(alice)
    rank_next(bob)
    rank_next(bob)

    assert "seen all tasks" in client_for(bob).get(RANK).content.decode()


# What the admin sees


def test_the_people_page_holds_each_person_s_judgments_against_the_keys(
    client_for, project, alice, bob, carol
):
    make_task(project, texts=["good", "poor"], overlap=2)
    for _ in range(2):
        make_gold(project, carol)
    for best in ("good", "poor"):
        rank_next(alice, best)
    people = client_for(carol).get("/p/demo/people/").context["people"]
    found = {one.user: one.gold for one in people}

    assert (found[alice].judged, found[alice].agreement) == (2, 0.5)
    assert found[bob] is found[carol] is None
    page = client_for(carol).get("/p/demo/people/").content.decode()
    assert "50.0\u00a0%" in page
    assert "2 gold tasks</a>, as 10 % of what labelers are given" in page


def test_without_gold_the_people_page_says_how_to_begin(client_for, project, carol):
    page = client_for(carol).get("/p/demo/people/").content.decode()

    assert "There are no gold tasks" in page
    assert "Gold accuracy" not in page


def test_the_people_page_takes_a_constant_number_of_queries(
    client_for, project, carol, django_assert_num_queries
):
    for _ in range(3):
        golden = make_gold(project, carol)
        make_ranking(golden, make_person(project), ranks=(1, 2))
    browser = client_for(carol)
    with django_assert_num_queries(10):
        browser.get("/p/demo/people/")
