"""The ranking page, over HTTP: claim, submit, draft, skip, undo, and who may."""

import re
from datetime import timedelta
from html import unescape

import pytest
from django.utils.timezone import now

from labeling.judging import skips
from labeling.models import Assignment, RankedCandidate, Ranking, RankingTask
from labeling.queue import seen
from people.models import AuditEvent, Membership
from tests.factories import (
    TOOL_TURNS,
    flags_of,
    make_person,
    make_project,
    make_prompt,
    make_task,
    ratings_of,
)
from tests.pages import one_line

pytestmark = pytest.mark.django_db

RANK = "/p/demo/rank/"
ORDER = {"rank-a": 2, "rank-b": 1, "rank-c": 2, "rank-d": 4}
HTMX = {"HX-Request": "true"}


@pytest.fixture
def task(project):
    return make_task(project)


@pytest.fixture
def page(client_for, alice, task):
    """Alice's browser, on the page."""
    client = client_for(alice)
    client.get(RANK)
    return client


def held(person):
    return Assignment.objects.get(labeler=person, state="leased")


def post(client, verb, data=None, person=None, **options):
    assignment = Assignment.objects.filter(
        labeler__email=f"{person or 'alice'}@example.org"
    ).latest("pk")
    return client.post(f"{RANK}{assignment.pk}/{verb}", data or {}, **options)


def test_a_visit_leases_the_next_task(page, alice, task):
    assert held(alice).task == task
    page.get(RANK)
    assert Assignment.objects.count() == 1


def conversation_of(client_for, alice, project, messages):
    make_task(project, prompt=make_prompt(project, messages=messages))
    page = client_for(alice).get(RANK).content.decode()
    turns = re.findall(
        r'<div class="turn (\w+)"><h2>(.*?)</h2>(.*?)</div>'
        r'(?=<div class="turn|\s*</div>\s*<details)',
        page,
        re.S,
    )
    assert len(turns) == len(messages)
    return turns


def test_turns_of_tools_and_parts_are_shown_as_such(client_for, alice, project):
    shown = conversation_of(client_for, alice, project, TOOL_TURNS)

    assert [(role, name, unescape(html)) for role, name, html in shown] == [
        ("developer", "Developer", written("<p>Use the tools.</p>\n", "Use the tools.")),
        ("user", "User", written("<p>How warm is<br>\nRome?</p>\n", "How warm is\nRome?")),
        (
            "assistant",
            "Assistant",
            '<div class="call"><h3>Calls weather</h3><pre tabindex="0">{\n  "city": "Roma",\n'
            '  "at": [\n    "now"\n  ]\n}</pre></div><pre class="source" dir="auto">'
            'weather({"city": "Roma", "at": ["now"]})</pre>',
        ),
        (
            "tool",
            "Tool: weather",
            '<div class="text" dir="auto"><pre>{"celsius": 31}</pre></div>',
        ),
    ]


def written(html, text):
    return f'<div class="text" dir="auto">{html}</div><pre class="source" dir="auto">{text}</pre>'


def test_a_prompt_is_formatted_like_an_answer(client_for, alice, project):
    asked = "Solve *this*:\n\n\\[x^2 = 4\\]\n\n<script>"
    [(_role, _name, html)] = conversation_of(
        client_for, alice, project, [{"role": "user", "content": asked}]
    )

    assert "<p>Solve <em>this</em>:</p>" in html
    assert "<msup><mi>x</mi><mn>2</mn></msup>" in html
    assert "<script>" not in html
    assert unescape(html).endswith(f'<pre class="source" dir="auto">{asked}</pre>')


def test_answers_are_formatted_alike_with_a_sentence(client_for, alice, project):
    make_task(project, texts=["so *kind*", "> " * 40 + "deep", "short", "**bold**"])
    page = client_for(alice).get(RANK).content.decode()

    assert "<em>" not in page
    assert "<strong>" not in page
    assert page.count("Shown without formatting, like every answer of this task") == 4
    assert "<pre>so *kind*</pre>" in page


def test_a_page_or_its_card(page):
    whole, card = page.get(RANK), page.get(RANK, headers=HTMX)

    assert "<html" in whole.content.decode()
    assert card.content.decode().count("<html") == 0
    assert "answer-d" in card.content.decode()
    assert "HX-Request" in card["Vary"]


def test_a_ranking_is_recorded_as_it_was_shown(page, alice):
    order = held(alice).order
    said = {"rating-b": 6, "flags-b": ["opinion"], "labels": ["sensitive"], "note": "n"}
    response = post(page, "submit", ORDER | said)

    assert response.status_code == 302
    ranking = Ranking.objects.get()
    ranked = list(RankedCandidate.objects.order_by("shown").values_list("candidate_id", "rank"))
    assert ranked == list(zip(order, [2, 1, 2, 3]))
    assert ratings_of(ranking) == [None, 6, None, None]
    assert flags_of(ranking) == [[], ["opinion"], [], []]
    assert (ranking.labeler, ranking.labels, ranking.note) == (alice, ["sensitive"], "n")
    assert AuditEvent.objects.filter(verb="rank", actor=alice).count() == 1


def test_htmx_gets_the_next_card_at_once(page, project):
    second = make_task(project, texts=["left", "right"])
    card = post(page, "submit", ORDER, headers=HTMX)

    assert card.status_code == 200
    assert second.prompt.last_turn in card.content.decode()
    assert "<b>1</b> today" in card.content.decode()


def test_a_form_that_arrives_twice_counts_once(page):
    data = ORDER | {"key": "0a0b0c0d-0000-4000-8000-000000000000"}
    first, again = (post(page, "submit", data) for _ in range(2))

    assert first.status_code == again.status_code == 302
    assert Ranking.objects.count() == 1


def test_another_form_for_a_submitted_task_is_told_so(page):
    post(page, "submit", ORDER)
    response = post(page, "submit", ORDER, follow=True)

    assert "already submitted" in response.content.decode()
    assert Ranking.objects.count() == 1


def test_nothing_is_ranked_until_the_person_ranks_it(page):
    response = post(page, "submit", {})

    assert response.status_code == 422
    assert not Ranking.objects.exists()


def test_an_error_is_said_at_its_answer_and_nothing_typed_is_lost(page, alice):
    response = post(
        page, "submit", {"rank-a": 1, "rank-b": 2, "rank-d": 3, "rating-c": 5, "note": "my note"}
    )
    html = response.content.decode()

    assert re.search(r'id="error-c" role="alert">Answer C has no rank yet', html)
    assert '<option value="2" selected>' in html
    assert re.search(r'name="rating-c" value="5" checked', html)
    assert "my note</textarea>" in html
    assert held(alice).draft["note"] == "my note"


def test_ties_can_be_ruled_out(page, project):
    project.rules.ties = False
    project.rules.save()
    response = post(page, "submit", ORDER)

    assert response.status_code == 422
    assert "This project allows no ties" in response.content.decode()


@pytest.mark.parametrize("outcome", ["all_bad", "cannot_judge"])
def test_an_outcome_without_a_ranking(page, outcome):
    post(page, "submit", {"outcome": outcome})

    assert Ranking.objects.get().outcome == outcome
    assert set(RankedCandidate.objects.values_list("rank", flat=True)) == {None}


def test_a_draft_is_kept_and_shown_again(page, alice):
    response = post(
        page,
        "draft",
        {
            "rank-c": 1,
            "flags-c": ["opinion"],
            "labels": ["ambiguous"],
            "note": "half",
            "order": "c",
        },
    )
    html = page.get(RANK).content.decode()

    assert "saved" in response.json()
    assert 'name="order" value="c"' in html
    assert re.search(r'name="flags-c" value="opinion" checked', html)
    assert re.search(r'name="labels" value="ambiguous" checked', html)
    assert "half</textarea>" in html


def test_a_draft_renews_the_lease(page, alice):
    Assignment.objects.update(leased_until=now() + timedelta(seconds=5))
    post(page, "draft")
    assert held(alice).leased_until > now() + timedelta(minutes=20)


def test_a_late_draft_of_a_submitted_task_is_refused(page):
    post(page, "submit", ORDER)
    assert post(page, "draft").status_code == 409


def test_a_submit_after_the_lease_counts_while_the_place_is_free(page):
    Assignment.objects.update(state="expired", leased_until=None)
    RankingTask.objects.update(free_places=1)

    assert post(page, "submit", ORDER).status_code == 302
    assert Ranking.objects.count() == 1


def test_a_submit_after_the_place_went_to_another_keeps_the_text(page, alice, bob, client_for):
    Assignment.objects.update(leased_until=now() - timedelta(seconds=1))
    client_for(bob).get(RANK)
    response = post(page, "submit", ORDER | {"note": "late"})

    assert response.status_code == 409
    assert "went to someone else" in response.content.decode()
    assert not Ranking.objects.exists()
    assert Assignment.objects.get(labeler=alice).draft["note"] == "late"


def test_a_skip_goes_to_someone_else_and_keeps_its_reason(page, alice, bob, client_for, task):
    post(page, "skip", {"reason": "knowledge", "detail": "medicine"})

    assert Assignment.objects.get(labeler=alice).skip_reason == "knowledge: medicine"
    assert "Nothing to rank" in page.get(RANK).content.decode()
    client_for(bob).get(RANK)
    assert held(bob).task == task


def test_a_skip_without_a_reason_asks_for_one(page, alice):
    response = post(page, "skip")

    assert response.status_code == 422
    assert "Say why you skip it" in response.content.decode()
    assert held(alice)


def undo_skip(page, assignment):
    return page.post(f"{RANK}undo", {"skip": assignment.pk}, headers=HTMX)


def test_a_skip_is_undone_with_what_was_typed(page, alice, task):
    post(page, "draft", {"note": "half a thought"})
    card = post(page, "skip", {"reason": "other"}, headers=HTMX)
    skipped = Assignment.objects.get(labeler=alice)
    assert f'name="skip" value="{skipped.pk}"' in one_line(card)

    again = undo_skip(page, skipped)
    assert "half a thought" in again.content.decode()
    task.refresh_from_db()
    assert (held(alice).skip_reason, task.free_places) == ("", task.overlap - 1)
    assert AuditEvent.objects.filter(verb="undo skip").count() == 1

    undo_skip(page, skipped)  # twice is harmless
    assert held(alice).pk == skipped.pk
    assert AuditEvent.objects.filter(verb="undo skip").count() == 1


def test_the_newer_of_a_ranking_and_a_skip_is_undone_first(page, project):
    make_task(project, prompt=make_prompt(project, "And then?"))
    make_task(project, prompt=make_prompt(project, "And then again?"))
    post(page, "skip", {"reason": "other"}, headers=HTMX)
    post(page, "submit", ORDER)
    assert f'name="ranking" value="{Ranking.objects.get().pk}"' in one_line(page.get(RANK))
    page.post(f"{RANK}undo", {"ranking": Ranking.objects.get().pk})
    assert 'name="skip"' in one_line(page.get(RANK))


def test_a_skipped_task_that_someone_else_took_is_theirs(page, alice, bob, client_for, task):
    RankingTask.objects.update(overlap=1, free_places=0)
    post(page, "skip", {"reason": "other"})
    client_for(bob).get(RANK)
    response = undo_skip(page, Assignment.objects.get(labeler=alice))

    assert "Someone else has taken this task" in response.content.decode()
    assert Assignment.objects.get(labeler=alice).state == "skipped"


def test_a_skip_is_undone_for_ten_minutes(page, alice):
    post(page, "skip", {"reason": "other"})
    Assignment.objects.update(ended_at=now() - timedelta(minutes=11))
    assert 'name="skip"' not in one_line(page.get(RANK))
    assert "too old" in undo_skip(page, Assignment.objects.get(labeler=alice)).content.decode()


def test_a_task_that_was_set_aside_stays_there(page, alice, task):
    post(page, "skip", {"reason": "other"})
    RankingTask.objects.update(state="set_aside", sort_key=None)
    assert "set aside" in undo_skip(page, Assignment.objects.get(labeler=alice)).content.decode()
    assert Assignment.objects.get(labeler=alice).state == "skipped"


def test_who_has_seen_what_others_say_does_not_get_a_skipped_task_back(page, alice, task):
    post(page, "skip", {"reason": "other"})
    seen.note(alice, [task.pk])
    response = undo_skip(page, Assignment.objects.get(labeler=alice))

    assert "You have seen what others say" in response.content.decode()
    assert Assignment.objects.get(labeler=alice).state == "skipped"


def test_a_skip_is_undone_in_the_order_of_locks_of_a_claim(page, alice, monkeypatch):
    """Or two requests at once could wait for each other for ever."""
    post(page, "skip", {"reason": "other"})
    locks = []
    for name in ("locked_membership", "locked"):
        lock = getattr(skips, name)
        noted = lambda row, name=name, lock=lock: locks.append(name) or lock(row)  # noqa: E731
        monkeypatch.setattr(skips, name, noted)
    undo_skip(page, Assignment.objects.get(labeler=alice))

    assert held(alice)
    assert locks == ["locked_membership", "locked"]


def test_nobody_undoes_the_skip_of_another(page, bob, client_for, alice):
    post(page, "skip", {"reason": "other"})
    skipped = Assignment.objects.get(labeler=alice)
    assert undo_skip(client_for(bob), skipped).status_code == 404


def test_undo_shows_the_form_as_it_was_submitted(page, alice):
    post(page, "submit", ORDER | {"note": "hasty"})
    card = page.post(f"{RANK}undo", {"ranking": Ranking.objects.get().pk}, headers=HTMX)

    assert "hasty</textarea>" in card.content.decode()
    assert not Ranking.objects.filter(current=True).exists()
    assert held(alice)


def test_undoing_twice_undoes_one(page, project):
    make_task(project)
    post(page, "submit", ORDER)
    page.get(RANK)
    post(page, "submit", ORDER)
    newest = {"ranking": Ranking.objects.latest("pk").pk}
    page.post(f"{RANK}undo", newest)
    response = page.post(f"{RANK}undo", newest, follow=True)

    assert "nothing to undo" in response.content.decode()
    assert Ranking.objects.filter(current=True).count() == 1


def test_an_undone_task_may_be_submitted_again(page):
    post(page, "submit", ORDER)
    page.post(f"{RANK}undo", {"ranking": Ranking.objects.get().pk})
    post(page, "submit", ORDER | {"rank-a": 3})

    assert Ranking.objects.get(current=True).revision == 2


def test_an_empty_queue_is_honest(client_for, alice, bob, task):
    client_for(bob).get(RANK)
    html = client_for(alice).get(RANK).content.decode()

    assert "1 task is reserved for someone else; the reservation ends in" in html
    assert f'{RANK}"' in html


@pytest.mark.parametrize(("seconds", "left"), [(20, "1 minute"), (150, "3 minutes")])
def test_the_time_until_a_reservation_ends_is_rounded_up(
    client_for, alice, bob, task, seconds, left
):
    client_for(bob).get(RANK)
    Assignment.objects.update(leased_until=now() + timedelta(seconds=seconds))
    html = one_line(client_for(alice).get(RANK)).replace("\xa0", " ")

    assert f"the reservation ends in {left}." in html


def test_a_paused_person_is_told_so(client_for, alice, task):
    Membership.objects.update(paused=True)
    assert "paused" in client_for(alice).get(RANK).content.decode()
    assert not Assignment.objects.exists()


def test_nobody_touches_another_persons_place(page, alice, bob, stranger, client_for):
    for person, status in ((bob, 404), (stranger, 404)):
        other = client_for(person)
        for verb in ("submit", "draft", "skip"):
            assert other.post(f"{RANK}{held(alice).pk}/{verb}", ORDER).status_code == status
    assert held(alice).draft == {}
    assert not Ranking.objects.exists()


def test_a_place_belongs_to_its_project(page, alice):
    other = make_project()
    Membership.objects.create(project=other, user=alice)
    assert page.post(f"/p/{other.slug}/rank/{held(alice).pk}/submit", ORDER).status_code == 404


def test_researchers_do_not_rank(client_for, project, task):
    reader = make_person(project, "researcher")
    assert client_for(reader).get(RANK).status_code == 403


def test_a_visitor_is_sent_to_log_in(client, task):
    assert client.get(RANK)["Location"].startswith("/login/")


def test_guidelines_are_markdown_and_no_more(client_for, alice, project):
    project.guidelines = "**Be fair** <script>alert(1)</script>"
    project.save()
    html = client_for(alice).get("/p/demo/guidelines/").content.decode()

    assert "<strong>Be fair</strong>" in html
    assert "<script>alert" not in html


@pytest.mark.parametrize("k", [2, 4, 9])
def test_the_queries_do_not_grow_with_the_answers(
    client_for, alice, project, django_assert_num_queries, k
):
    make_task(project, texts=[f"text {n}" for n in range(k)])
    client = client_for(alice)
    client.get(RANK)
    with django_assert_num_queries(9):
        client.get(RANK)
