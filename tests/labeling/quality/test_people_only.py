"""Agreement and quality are figures of people; what others judged is left out, and counted."""

import pytest

from labeling.judging.judgment import Judgment, Verdict
from labeling.loop import status
from labeling.models import Ranking, RankingTask, judge_kind
from labeling.quality import adjudication, peers, recent
from people import accounts
from people.access import Refused
from tests.factories import (
    make_imported_ranking,
    make_judge,
    make_person,
    make_ranking,
    make_task,
)
from tests.labeling.api.hands import Hands
from tests.pages import one_line

pytestmark = pytest.mark.django_db
SAME, OTHER = (1, 2, 3, 4), (4, 3, 2, 1)
LEFT_OUT = {"model": 2, "script": 2, "unknown": 2}
SENTENCE = "Left out: 2 by models, 2 by scripts, 2 by judges of unknown kind."


@pytest.fixture
def judged(project, alice, bob):
    """Two tasks on which two people agree, and everybody else sees it the other way round."""
    robot = make_person(project, "labeler", "robot", simulated=True)
    others = [make_judge("model"), make_judge("unknown", stated=False)]
    tasks = [make_task(project) for _ in range(2)]
    for task in tasks:
        make_ranking(task, alice, SAME)
        make_ranking(task, bob, SAME)
        make_ranking(task, robot, OTHER)
        for judge in others:
            make_imported_ranking(task, judge, OTHER)
    RankingTask.objects.filter(project=project).update(free_places=0)
    return tasks


def test_people_are_compared_with_people(project, judged, alice, bob):
    figures = peers.figures(project)

    assert set(figures) == {alice.uuid, bob.uuid}
    assert {(peer.share, peer.pairs) for peer in figures.values()} == {(1.0, 12)}
    assert recent.left_out(project) == LEFT_OUT


def test_an_imported_judge_that_is_a_person_is_compared_too(project, alice):
    task, ann = make_task(project), make_judge("person")
    make_ranking(task, alice, SAME)
    make_imported_ranking(task, ann, OTHER)

    assert set(peers.figures(project)) == {alice.uuid, ann.pk}
    assert recent.left_out(project) == {}


def test_the_loop_counts_people_and_says_what_others_made(project, judged, client_for, carol):
    found = status.of_project(project).rankings

    assert (found.agreement, found.people, found.total) == (100, 2, 10)
    assert found.judge_kinds == LEFT_OUT | {"person": 4}
    page = one_line(client_for(carol).get("/p/demo/loop/"))
    kinds = "4 by people, 2 by models, 2 by scripts, 2 by judges of unknown kind;"
    assert f"{kinds} 2 people, agreement 100.0" in page
    body = Hands(client_for(carol), project.slug).get("ring").json()["rankings"]
    assert (body["people"], body["judge_kinds"]) == (2, found.judge_kinds)


def test_people_who_agree_have_no_disagreement_with_a_model(project, judged, carol):
    assert adjudication.disputes(project, carol) == []


def test_a_lead_adjudicates_what_people_said_and_sees_that_others_spoke(
    project, judged, alice, client_for, in_slot_order
):
    lead = make_person(project, "lead", "lena")
    Ranking.objects.filter(labeler=alice).delete()
    make_ranking(judged[0], alice, OTHER)
    [dispute] = adjudication.disputes(project, lead)

    assert (dispute.task, dispute.judges, dispute.compared) == (judged[0], 2, 6)
    body = Hands(client_for(lead), project.slug).get(f"tasks/{judged[0].pk}/settle").json()
    assert list(zip(body["judged"], body["judge_kinds"], strict=True)) == [
        ("A > B > C > D", "person"),
        ("D > C > B > A", "script"),
        ("D > C > B > A", "model"),
        ("D > C > B > A", "unknown"),
        ("D > C > B > A", "person"),
    ]
    page = one_line(client_for(lead).get(f"/p/demo/tasks/{judged[0].pk}/settle"))
    assert "D &gt; C &gt; B &gt; A <small>model</small>" in page
    assert "A &gt; B &gt; C &gt; D <small>" not in page


def test_where_one_person_and_a_model_judged_there_is_nothing_to_adjudicate(project, alice, carol):
    task = make_task(project)
    make_ranking(task, alice, SAME)
    make_imported_ranking(task, make_judge("model"), OTHER)
    RankingTask.objects.filter(pk=task.pk).update(free_places=0)

    with pytest.raises(Refused, match="Fewer than two people"):
        adjudication.settle(
            carol, task, Judgment({l: Verdict(rank) for rank, l in enumerate("abcd", 1)})
        )


@pytest.mark.parametrize("address", ["people", "settle"])
def test_the_pages_say_what_is_left_out(project, judged, client_for, carol, address):
    assert SENTENCE in one_line(client_for(carol).get(f"/p/demo/{address}/"))


@pytest.mark.parametrize("address", ["people", "settle"])
def test_where_only_people_judged_the_pages_say_nothing(project, alice, client_for, carol, address):
    make_ranking(make_task(project), alice)

    assert "Left out:" not in one_line(client_for(carol).get(f"/p/demo/{address}/"))


@pytest.mark.parametrize("address", ["agreement", "disputes"])
def test_scripts_read_what_is_left_out(project, judged, client_for, carol, address):
    assert Hands(client_for(carol), project.slug).get(address).json()["left_out"] == LEFT_OUT


def test_what_a_script_ranked_stays_a_script_s_whatever_its_account_is_now(project, carol):
    robot = make_person(project, "labeler", "robot", simulated=True)
    ranking = make_ranking(make_task(project), robot)
    accounts.change(carol, robot, simulated=False)

    assert not Ranking.objects.of_people().exists()
    assert Ranking.objects.by_kind() == {"script": 1}
    assert judge_kind(ranking.kind, robot.judge) == "script"


def test_an_account_that_turns_out_to_be_a_script_was_never_a_person(project, alice, carol):
    make_ranking(make_task(project), alice)
    accounts.change(carol, alice, simulated=True)

    assert not Ranking.objects.of_people().exists()
    assert Ranking.objects.by_kind() == {"script": 1}


@pytest.mark.parametrize("kind", ["person", "model", "script", "unknown"])
def test_rankings_are_chosen_by_the_kind_that_they_are_counted_by(project, judged, kind):
    counted = Ranking.objects.by_kind()

    assert Ranking.objects.of_kinds([kind]).count() == counted[kind]
    assert Ranking.objects.of_kinds([kind]).by_kind() == {kind: counted[kind]}
