"""A labeler's work through the API: claim, draft, submit, skip, return, and what is said when there
is nothing.
"""

from datetime import timedelta

import pytest
from django.utils.timezone import now

from labeling import project_settings
from labeling.models import Assignment, RankedCandidate, Ranking
from people.models import AuditEvent, Membership
from tests.factories import TOOL_TURNS, flags_of, make_person, make_prompt, make_task, ratings_of
from tests.labeling.api.hands import RANKS, code_of, fields_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def task(project):
    return make_task(project, prompt=make_prompt(project, "What is a podium?"))


@pytest.fixture
def sheet(labeler, task):
    """What alice has at hand."""
    return labeler.claim()


def of(person):
    return Assignment.objects.get(labeler=person)


def test_a_claim_leases_the_next_task_and_twice_the_same(labeler, task, alice):
    first, again = labeler.claim(), labeler.claim()

    assert first == again
    assert (of(alice).task, of(alice).state) == (task, "leased")


def test_a_sheet_holds_all_that_the_page_shows(sheet, project):
    assert sheet["messages"] == [{"role": "user", "content": "What is a podium?"}]
    assert [answer["letter"] for answer in sheet["answers"]] == ["A", "B", "C", "D"]
    assert sorted(answer["text"] for answer in sheet["answers"]) == ["bad", "fair", "good", "poor"]
    assert sheet["asks"]["ties"] is True
    assert {"name": "opinion", "label": "Expresses opinion"} in sheet["asks"]["flags"]
    assert sheet["draft"] is None


def test_a_sheet_holds_turns_of_tools_and_parts_as_they_are(labeler, project):
    make_task(project, prompt=make_prompt(project, messages=TOOL_TURNS))

    assert labeler.claim()["messages"] == TOOL_TURNS


def test_answers_come_in_the_order_that_is_recorded(sheet, alice):
    one = of(alice)

    assert [answer["text"] for answer in sheet["answers"]] == [one.texts[pk] for pk in one.order]


def test_a_ranking_is_recorded_as_it_was_shown(labeler, sheet, alice):
    said = {
        "ratings": {"B": 6},
        "flags": {"B": ["opinion"]},
        "labels": ["sensitive"],
        "note": "n",
        "seconds": 12.5,
    }
    response = labeler.post(f"assignments/{sheet['id']}/submit", RANKS | said)

    assert response.status_code == 201
    assert response.json()["order"] == "B>A=C>D"
    order, ranking = of(alice).order, Ranking.objects.get()
    ranked = list(RankedCandidate.objects.order_by("shown").values_list("candidate_id", "rank"))
    assert ranked == list(zip(order, [2, 1, 2, 3]))
    assert ratings_of(ranking) == [None, 6, None, None]
    assert flags_of(ranking) == [[], ["opinion"], [], []]
    assert (ranking.labeler, ranking.labels, ranking.note, ranking.seconds) == (
        alice,
        ["sensitive"],
        "n",
        12.5,
    )
    assert AuditEvent.objects.filter(verb="rank", actor=alice).count() == 1


@pytest.mark.parametrize(
    "said",
    [
        {"order": "b > a = c > d"},
        {"ranks": {"A": 2, "B": 1, "C": 2, "D": 3}},
        {"ranks": {"a": 2, "b": 1, "c": 2, "d": 4}},
    ],
)
def test_an_order_may_be_said_in_letters_or_in_ranks(labeler, sheet, said):
    assert labeler.post(f"assignments/{sheet['id']}/submit", said).json()["order"] == "B>A=C>D"


def test_a_request_that_arrives_twice_counts_once(labeler, sheet):
    first, again = (
        labeler.post(f"assignments/{sheet['id']}/submit", RANKS, key="one") for _ in range(2)
    )

    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert Ranking.objects.count() == 1


def test_another_request_for_a_submitted_task_is_told_so(labeler, sheet):
    labeler.post(f"assignments/{sheet['id']}/submit", RANKS)
    again = labeler.post(f"assignments/{sheet['id']}/submit", RANKS)

    assert (again.status_code, code_of(again)) == (409, "already-submitted")
    assert Ranking.objects.count() == 1


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({}, "ranks.A"),
        ({"order": "A>B>C"}, "ranks.D"),
        ({"order": "A>B>C>D>E"}, "ranks.E"),
        ({"order": "A>B>A>C"}, "order"),
        ({"order": "best first"}, "order"),
        ({"order": "A>B>C>D", "ranks": {"A": 1}}, "order"),
        ({"ranks": {"Z": 1}}, "ranks"),
        (RANKS | {"ratings": {"A": 8}}, "ratings.A"),
        (RANKS | {"flags": {"A": ["ugly"]}}, "flags.A"),
        (RANKS | {"labels": ["odd"]}, "labels.0"),
        (RANKS | {"strength": 2}, "strength"),
        (RANKS | {"verdict": "so so"}, "verdict"),
    ],
)
def test_what_can_not_be_said_is_refused_at_its_field(labeler, sheet, said, field):
    response = labeler.post(f"assignments/{sheet['id']}/submit", said)

    assert response.status_code == 400
    assert fields_of(response) == {field}
    assert not Ranking.objects.exists()


def test_an_incomplete_ranking_is_kept_as_a_draft(labeler, sheet):
    labeler.post(f"assignments/{sheet['id']}/submit", {"order": "A>B", "note": "not yet"})

    assert (labeler.claim()["draft"]["order"], labeler.claim()["draft"]["note"]) == (
        "A>B",
        "not yet",
    )


def test_ties_can_be_ruled_out(labeler, carol, project, sheet):
    project_settings.change(carol, project, ties=False)

    assert labeler.post(f"assignments/{sheet['id']}/submit", RANKS).status_code == 400


def test_what_the_project_does_not_ask_can_not_be_said(labeler, carol, project, sheet):
    project_settings.change(carol, project, rating=False, notes=False, flags=[])
    said = {"ratings": {"A": 1}, "note": "n", "flags": {"A": ["opinion"]}}

    assert fields_of(labeler.post(f"assignments/{sheet['id']}/submit", RANKS | said)) == {
        "ratings",
        "note",
        "flags.A",
    }


@pytest.mark.parametrize("verdict", ["all_bad", "cannot_judge"])
def test_where_nothing_can_be_ranked_that_is_said(labeler, sheet, verdict):
    done = labeler.post(f"assignments/{sheet['id']}/submit", {"verdict": verdict}).json()

    assert (done["verdict"], done["order"], done["ranks"]) == (verdict, "", {})


def test_two_answers_may_be_judged_by_strength(labeler, carol, project):
    project_settings.change(carol, project, strength=True)
    make_task(project, texts=["left", "right"])
    sheet = labeler.claim()
    assert sheet["asks"]["strength"] is True

    done = labeler.post(f"assignments/{sheet['id']}/submit", {"strength": -2}).json()

    assert (done["order"], done["strength"]) == ("B>A", -2)


def test_a_draft_is_kept_and_shown_again_also_in_the_page(labeler, client_for, alice, sheet):
    kept = labeler.post(
        f"assignments/{sheet['id']}/draft", {"order": "C>A", "ratings": {"C": 7}, "note": "half"}
    )

    assert (kept.status_code, kept.json()["state"]) == (200, "leased")
    draft = labeler.get("assignments/current").json()["draft"]
    assert (draft["order"], draft["ratings"], draft["note"]) == ("C>A", {"C": 7}, "half")
    assert "half</textarea>" in client_for(alice).get("/p/demo/rank/").content.decode()


def test_a_draft_after_the_submit_is_refused(labeler, sheet):
    labeler.post(f"assignments/{sheet['id']}/submit", RANKS)

    assert labeler.post(f"assignments/{sheet['id']}/draft", RANKS).status_code == 409


def test_a_heartbeat_runs_the_lease_from_now(labeler, sheet, alice):
    Assignment.objects.update(leased_until=now() + timedelta(seconds=5))
    beat = labeler.post(f"assignments/{sheet['id']}/heartbeat")

    assert beat.status_code == 200
    assert of(alice).leased_until > now() + timedelta(minutes=29)


def test_a_heartbeat_tells_that_the_lease_is_over(labeler, sheet):
    Assignment.objects.update(state="expired", leased_until=None)
    beat = labeler.post(f"assignments/{sheet['id']}/heartbeat")

    assert (beat.status_code, code_of(beat)) == (409, "lease-lost")


def test_a_lease_that_went_to_others_is_told_and_what_was_said_is_kept(
    labeler, hands_of, bob, alice, sheet
):
    Assignment.objects.update(leased_until=now() - timedelta(seconds=1))
    hands_of(bob).rank()
    late = labeler.post(f"assignments/{sheet['id']}/submit", RANKS | {"note": "late"})

    assert (late.status_code, code_of(late)) == (409, "lease-lost")
    assert of(alice).draft["note"] == "late"


def test_a_skipped_task_goes_to_somebody_else(labeler, hands_of, bob, sheet):
    skipped = labeler.post(
        f"assignments/{sheet['id']}/skip", {"reason": "language", "detail": "Finnish"}
    )

    assert (skipped.status_code, skipped.json()["state"]) == (200, "skipped")
    assert labeler.post("assignments").status_code == 204
    assert hands_of(bob).claim()["messages"] == sheet["messages"]
    assert Assignment.objects.get(state="skipped").skip_reason == "language: Finnish"


def test_a_skip_is_taken_back_once(labeler, sheet):
    labeler.post(f"assignments/{sheet['id']}/draft", {"note": "half a thought"})
    labeler.post(f"assignments/{sheet['id']}/skip", {"reason": "other"})
    back = labeler.post(f"assignments/{sheet['id']}/undo-skip")
    again = labeler.post(f"assignments/{sheet['id']}/undo-skip")

    assert (back.status_code, back.json()["state"]) == (200, "leased")
    assert (again.status_code, code_of(again)) == (409, "too-late")
    assert labeler.claim()["draft"]["note"] == "half a thought"


def test_a_skip_needs_a_reason(labeler, sheet):
    assert fields_of(labeler.post(f"assignments/{sheet['id']}/skip")) == {"reason"}


def test_what_is_given_back_may_come_again(labeler, sheet):
    returned = labeler.post(f"assignments/{sheet['id']}/return")

    assert (returned.status_code, returned.json()["state"]) == (200, "returned")
    assert labeler.claim()["id"] == sheet["id"]


def test_a_submitted_task_can_not_be_skipped_or_given_back(labeler, sheet):
    labeler.post(f"assignments/{sheet['id']}/submit", RANKS)

    assert labeler.post(f"assignments/{sheet['id']}/skip", {"reason": "other"}).status_code == 409
    assert labeler.post(f"assignments/{sheet['id']}/return").status_code == 409


def test_the_next_task_can_be_leased_ahead(labeler, project, sheet):
    make_task(project, prompt=make_prompt(project, "And then?"))
    ahead = labeler.post(f"assignments/{sheet['id']}/ahead").json()
    labeler.post(f"assignments/{sheet['id']}/submit", RANKS)

    assert ahead["messages"][0]["content"] == "And then?"
    assert labeler.claim()["id"] == ahead["id"]


def test_nothing_ahead_is_said_without_words(labeler, sheet):
    assert labeler.post(f"assignments/{sheet['id']}/ahead").status_code == 204


def test_where_all_is_with_others_it_is_said_when_to_come_again(labeler, hands_of, bob, task):
    held = hands_of(bob).claim()
    nothing = labeler.post("assignments")

    assert (nothing.status_code, nothing.content) == (204, b"")
    assert nothing["Podium-Others"] == "1"
    assert nothing["Podium-Next-At"][:19] == held["leased_until"][:19]


def test_where_nothing_is_left_no_time_is_promised(labeler, project):
    nothing = labeler.get("assignments/current")

    assert (nothing.status_code, nothing["Podium-Others"]) == (204, "0")
    assert "Podium-Next-At" not in nothing


def test_who_is_paused_is_told_why(labeler, alice, task):
    Membership.objects.filter(user=alice).update(paused=True)
    refused = labeler.post("assignments")

    assert (refused.status_code, code_of(refused)) == (409, "not-working")
    assert "paused" in refused.json()["detail"]


def test_the_day_s_limit_is_told_with_the_time_of_the_next_task(labeler, carol, project, task):
    project_settings.change(carol, project, daily_limit=1)
    labeler.rank()
    make_task(project)
    refused = labeler.post("assignments")

    assert refused.status_code == 409
    assert "limit of 1 a day" in refused.json()["detail"]


def test_pace_tells_what_was_done_and_what_can_be_undone(labeler, task):
    done = labeler.rank(seconds=30)

    assert labeler.get("assignments/pace").json() == {
        "today": 1,
        "pace": 30,
        "progress": 100,
        "undo": done["id"],
    }


def test_guidelines_have_a_version_that_changes_with_them(labeler, carol, project, sheet):
    project_settings.change(carol, project, guidelines="Be **kind**.")
    told = labeler.get("guidelines").json()

    assert told["text"] == "Be **kind**."
    assert told["version"] == labeler.claim()["guidelines"] != sheet["guidelines"]


def test_another_s_assignment_is_not_found(hands_of, bob, sheet):
    said = {"draft": RANKS, "submit": RANKS, "skip": {"reason": "other"}}
    for verb in ("draft", "heartbeat", "submit", "skip", "return", "ahead"):
        answer = hands_of(bob).post(f"assignments/{sheet['id']}/{verb}", said.get(verb))
        assert answer.status_code == 404


def test_researchers_and_strangers_rank_nothing(hands_of, project, stranger, task):
    researcher = make_person(project, "researcher", "rita")

    assert hands_of(researcher).post("assignments").status_code == 403
    assert hands_of(stranger).post("assignments").status_code == 404


def test_an_archived_project_gives_no_task(labeler, carol, project, task):
    project_settings.change(carol, project, state="archived")

    assert labeler.post("assignments").status_code == 403


def test_a_claim_takes_few_queries(labeler, project, django_assert_max_num_queries):
    for _ in range(3):
        make_task(project)
    labeler.rank()
    with django_assert_max_num_queries(22):
        labeler.claim()
