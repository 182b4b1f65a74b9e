"""Threads and reviews: what a lead says marks what is judged afterwards, and moves no figure."""

import pytest

from labeling import erasure
from labeling.exports import freeze
from labeling.exports.examples import row_metadata
from labeling.judging import judgment, rankings, reviews, threads
from labeling.loop import status
from labeling.models import Assignment, Message, Ranking, RankingTask, Review, Seen, Thread
from labeling.quality import adjudication, gold, peers, recent
from labeling.queue import claims, leases
from modelops import datasets, rows
from people.access import Refused
from people.models import AuditEvent, Membership
from tests.factories import make_person, make_ranking, make_task

pytestmark = pytest.mark.django_db
BEST, WORST = "abcd", "dcba"


def order(letters: str) -> judgment.Judgment:
    return judgment.Judgment(
        {letter: judgment.Verdict(rank=place) for place, letter in enumerate(letters, 1)}
    )


def next_for(person) -> Assignment | None:
    return claims.next_for(Membership.objects.select_related("project", "user").get(user=person))


def place(person, task) -> Assignment:
    """The person's place on this task, its answers shown as they were made."""
    assignment = next_for(person)
    assert assignment.task_id == task.pk
    assignment.order = sorted(assignment.order)
    assignment.save()
    return assignment


@pytest.fixture
def lena(project):
    return make_person(project, "lead", "lena")


@pytest.fixture
def task(project):
    return make_task(project, overlap=2)


@pytest.fixture
def apart(task, alice, bob):
    """Alice and Bob order every pair differently."""
    return {
        person.name: rankings.submit(place(person, task), order(letters))
        for person, letters in ((alice, BEST), (bob, WORST))
    }


def ask(ranking, text="Is the first one too long?") -> Thread:
    return threads.open_on(ranking.assignment, text)


# Threads


def test_a_labeler_has_one_thread_on_a_task(apart):
    first, second = ask(apart["Alice"], "One?"), ask(apart["Alice"], "Two?")

    assert first == second
    assert list(Message.objects.order_by("pk").values_list("text", flat=True)) == ["One?", "Two?"]
    assert ask(apart["Bob"]) != first


@pytest.mark.parametrize(
    ("leave", "may_ask"), [(None, True), ("skip", False), ("give_back", False)]
)
def test_one_asks_about_the_task_at_hand_or_one_ranked_before(task, alice, leave, may_ask):
    held = next_for(alice)
    if leave == "skip":
        leases.skip(held, "other")
    if leave == "give_back":
        leases.give_back(held)
    held.refresh_from_db()
    if may_ask:
        assert threads.open_on(held, "Why?").task == task
    else:
        with pytest.raises(Refused):
            threads.open_on(held, "Why?")
        assert not Thread.objects.exists()


def test_a_message_opens_a_closed_thread_again(apart, lena, alice):
    thread = ask(apart["Alice"])
    threads.close(lena, thread)
    threads.close(lena, thread)
    assert Thread.objects.get().closed_at

    threads.say(alice, thread, "One more thing.")
    assert Thread.objects.get().closed_at is None
    assert AuditEvent.objects.filter(verb="close thread").count() == 1


@pytest.mark.parametrize("text", ["", "  \n ", "\x07"])
def test_a_message_says_something(apart, text):
    with pytest.raises(Refused):
        ask(apart["Alice"], text)
    assert not Thread.objects.exists()


def test_a_thread_has_an_end(apart, alice, monkeypatch):
    monkeypatch.setattr(threads, "MOST", 2)
    thread = ask(apart["Alice"])
    threads.say(alice, thread, "Two.")
    with pytest.raises(Refused):
        threads.say(alice, thread, "Three.")


def test_no_event_holds_what_was_said(apart, lena):
    thread = ask(apart["Alice"], "secret one")
    threads.say(lena, thread, "secret two")
    reviews.review(lena, apart["Alice"], "disagree", "secret three")

    events = AuditEvent.objects.filter(verb__in=["open thread", "write message", "review"])
    assert events.count() == 4
    assert "secret" not in str(list(events.values()))
    assert "disagree" not in str(list(events.values()))


# Reviews


def test_a_lead_has_one_review_of_a_ranking(apart, lena, carol):
    reviews.review(lena, apart["Alice"], "agree")
    reviews.review(lena, apart["Alice"], "disagree", "C is false.")
    reviews.review(carol, apart["Alice"], "agree")

    said = Review.objects.order_by("pk").values_list("reviewer__name", "verdict", "comment")
    assert list(said) == [("Lena", "disagree", "C is false."), ("Carol", "agree", "")]


def test_what_can_not_be_reviewed(project, task, apart, lena, carol):
    own = make_ranking(make_task(project), lena)
    settled = adjudication.settle(carol, RankingTask.objects.get(pk=task.pk), order(BEST))
    rankings.revise(apart["Alice"].assignment, order("bacd"))
    revised = Ranking.objects.get(pk=apart["Alice"].pk)
    for ranking, verdict in ((own, "agree"), (settled, "agree"), (revised, "agree")):
        with pytest.raises(Refused):
            reviews.review(lena, ranking, verdict)
    with pytest.raises(Refused) as refused:
        reviews.review(lena, apart["Bob"], "comment", " ")
    assert refused.value.field == "comment"
    assert not Review.objects.exists()


# Prompted


def answer(ranking, lena, how):
    if how == "message":
        threads.say(lena, ask(ranking), "Look at B again.")
    elif how == "review":
        reviews.review(lena, ranking, "disagree")
    elif how == "own message":
        ask(ranking)
    elif how == "message to another":
        other = Ranking.objects.get(task=ranking.task, labeler__name="Bob")
        threads.say(lena, ask(other), "Look at B again.")


@pytest.mark.parametrize(
    ("how", "prompted"),
    [
        ("message", True),
        ("review", True),
        ("own message", False),
        ("message to another", False),
        (None, False),
    ],
)
def test_a_revision_after_a_lead_s_comment_is_prompted(apart, lena, how, prompted):
    answer(apart["Alice"], lena, how)
    revised = rankings.revise(apart["Alice"].assignment, order(WORST))

    assert revised.prompted == prompted
    assert not Ranking.objects.get(pk=apart["Alice"].pk).prompted


def test_a_first_ranking_after_a_lead_s_answer_is_prompted(task, alice, lena):
    held = place(alice, task)
    threads.say(lena, threads.open_on(held, "Which one is short?"), "B.")

    assert rankings.submit(held, order(BEST)).prompted


def test_an_adjudication_is_never_prompted(task, apart, lena):
    reviews.review(lena, apart["Alice"], "agree")

    assert not adjudication.settle(
        lena, RankingTask.objects.get(pk=task.pk), order("abcd")
    ).prompted


def figures(project) -> dict:
    """Every figure of agreement that Podium shows."""
    loop = status.of_project(project).rankings
    disputes = adjudication.disputes(project, make_person(project, "lead"))
    return {
        "peers": {
            judge: (peer.share, peer.pairs) for judge, peer in peers.figures(project).items()
        },
        "loop": (loop.agreement, loop.ties),
        "disputes": [(dispute.task.pk, dispute.agreed, dispute.compared) for dispute in disputes],
    }


def test_a_comment_moves_no_figure_of_agreement(project, apart, lena):
    before = figures(project)
    reviews.review(lena, apart["Alice"], "disagree")
    revised = rankings.revise(apart["Alice"].assignment, order(WORST))

    assert before["loop"][0] == 0
    assert before["disputes"] == [(revised.task_id, 0, 6)]
    assert figures(project) == before
    assert recent.prompted(project) == 1


def test_without_a_comment_a_revision_counts(project, apart):
    rankings.revise(apart["Alice"].assignment, order(WORST))

    assert figures(project)["loop"][0] == 100
    assert recent.prompted(project) == 0


def test_of_several_revisions_the_last_one_before_the_comment_counts(project, apart, lena):
    place = apart["Alice"].assignment
    second = rankings.revise(place, order("abdc"))
    rankings.undo(rankings.revise(place, order("badc")))
    reviews.review(lena, second, "disagree")
    rankings.revise(place, order(WORST))
    rankings.revise(place, order("dcab"))

    counted = Ranking.objects.independent().filter(labeler__name="Alice")
    assert [ranking.pk for ranking in counted] == [second.pk]


def test_an_undone_revision_leaves_the_one_before(project, apart, lena):
    reviews.review(lena, apart["Alice"], "disagree")
    rankings.undo(rankings.revise(apart["Alice"].assignment, order(WORST)))

    counted = Ranking.objects.independent().filter(labeler__name="Alice")
    assert [ranking.pk for ranking in counted] == [apart["Alice"].pk]


def test_who_was_prompted_from_the_start_counts_nowhere(project, task, alice, bob, lena):
    held = place(alice, task)
    threads.say(lena, threads.open_on(held, "Which one is short?"), "B.")
    rankings.submit(held, order(BEST))
    rankings.submit(place(bob, task), order(WORST))

    assert peers.figures(project) == {}
    assert figures(project)["disputes"] == []


def test_gold_accuracy_counts_what_was_judged_before_the_comment(project, task, apart, carol):
    gold.make(carol, RankingTask.objects.get(pk=task.pk), order(WORST))
    alice = apart["Alice"].labeler_id
    assert gold.figures(project)[alice].agreement == 0
    reviews.review(carol, apart["Alice"], "disagree")
    rankings.revise(apart["Alice"].assignment, order(WORST))

    assert gold.figures(project)[alice].agreement == 0
    assert gold.figures(project)[alice].judged == 1


def test_an_adjudication_is_no_answer_key(project, task, apart, carol):
    adjudication.settle(carol, RankingTask.objects.get(pk=task.pk), order(BEST))
    gold.make(carol, RankingTask.objects.get(pk=task.pk), order(WORST))

    assert gold.figures(project)[apart["Bob"].labeler_id].agreement == 1


# Frozen


def test_only_a_prompted_judgment_is_marked_in_its_row(project, apart, lena):
    before = freeze.freeze_now(None, project)
    [row] = rows.read(datasets.path(before))
    assert not any("prompted" in judgment for judgment in row["judgments"])
    assert "prompted" not in before.counts
    assert before.counts["agreement"] == 0

    reviews.review(lena, apart["Alice"], "disagree")
    again = freeze.freeze_now(None, project)
    assert again == before, "threads and reviews enter no row"

    rankings.revise(apart["Alice"].assignment, order(WORST))
    after = freeze.freeze_now(None, project)
    [row] = rows.read(datasets.path(after))
    assert sorted(judgment.get("prompted", False) for judgment in row["judgments"]) == [False, True]
    assert (after.counts["prompted"], after.counts["judgments"]) == (1, 2)
    assert "agreement" not in after.counts, "only one of the two is independent"
    assert row_metadata(row, None, after.digest)["agreement"] is None


def test_a_smallest_agreement_is_that_of_independent_judgments(project, task, alice, bob, lena):
    for person in (alice, bob):
        rankings.submit(place(person, task), order(BEST))
    assert freeze.freeze_now(None, project, agreement=1.0).counts["rows"] == 1
    held = make_task(project, overlap=2)
    for person in (alice, bob):
        assignment = place(person, held)
        threads.say(lena, threads.open_on(assignment, "Which?"), "A, B, C, D.")
        rankings.submit(assignment, order(BEST))

    assert freeze.freeze_now(None, project, agreement=1.0).counts["rows"] == 1


# Erased


def test_what_an_erased_person_said_goes_too(project, apart, alice, bob, lena, carol):
    theirs, other = ask(apart["Alice"]), ask(apart["Bob"])
    threads.say(lena, theirs, "About Alice.")
    threads.say(lena, other, "About Bob.")
    reviews.review(lena, apart["Alice"], "agree")
    reviews.review(lena, apart["Bob"], "disagree", "No.")

    found = erasure.erase(carol, project, alice, "asked for")
    assert (found.messages, found.reviews) == (2, 0)
    assert list(Thread.objects.values_list("labeler__name", flat=True)) == ["Bob"]
    assert list(Review.objects.values_list("ranking__labeler__name", flat=True)) == ["Bob"]
    assert Seen.objects.filter(person=alice).count() == 1, "she was told, and stays so"

    found = erasure.erase(carol, project, lena, "asked for")
    assert (found.messages, found.reviews) == (1, 1)
    assert not Review.objects.exists()
    assert list(Message.objects.values_list("author__name", flat=True)) == ["Bob"]
    event = AuditEvent.objects.filter(verb="erase judgments").latest("pk")
    assert (event.data["messages"], event.data["reviews"]) == (1, 1)
