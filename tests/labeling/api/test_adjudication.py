"""Through the API a lead finds where people disagree and settles it, as blind as in the page."""

import pytest

from labeling.models import Ranking, RankingTask
from tests.factories import make_person, make_ranking, make_task
from tests.labeling.api.hands import fields_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("in_slot_order")]


@pytest.fixture
def task(project, alice, bob):
    made = make_task(project, overlap=2)
    make_ranking(made, alice, (1, 2, 2, 3))
    made.refresh_from_db()
    make_ranking(made, bob, (2, 1, 3, 4))
    return RankingTask.objects.get(pk=made.pk)


@pytest.fixture
def lead(hands_of, project):
    return hands_of(make_person(project, "lead"))


def test_a_lead_finds_what_to_settle(lead, task):
    [found] = lead.get("disputes").json()["results"]
    assert found == {"task": task.pk, "judges": 2, "agreed": 4, "compared": 5, "settled": False}


def test_a_lead_settles_it_blind(lead, task):
    seen = lead.get(f"tasks/{task.pk}/settle")
    assert [one["text"] for one in seen.json()["answers"]] == ["good", "fair", "poor", "bad"]
    assert seen.json()["judged"] == ["A > B = C > D", "B > A > C > D"]
    assert task.candidates.first().model_version.name not in seen.content.decode()

    settled = lead.post(f"tasks/{task.pk}/settle", {"order": "A=B>C>D", "note": "either"}).json()[
        "settled"
    ]
    assert (settled["order"], settled["note"]) == ("A=B>C>D", "either")
    assert Ranking.objects.get(kind="adjudicated").labeler is None
    assert lead.post(f"tasks/{task.pk}/unsettle").json()["settled"] is None


def test_what_can_t_be_said_is_refused(lead, admin, task):
    assert fields_of(lead.post(f"tasks/{task.pk}/settle", {"order": "A>B"})) == {"ranks.C"}
    RankingTask.objects.update(free_places=1)
    assert lead.get(f"tasks/{task.pk}/settle").status_code == 404


def test_labelers_settle_nothing(labeler, task):
    assert labeler.get("disputes").status_code == 403
    assert labeler.get(f"tasks/{task.pk}/settle").status_code == 403
    assert labeler.post(f"tasks/{task.pk}/settle", {"order": "A>B>C>D"}).status_code == 403
