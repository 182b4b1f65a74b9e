"""Admins say who the judges of imported files are; nobody else does, and not of others' judges."""

import pytest

from labeling.models import Judge, Ranking
from labeling.quality import peers
from people import pseudonyms
from people.models import AuditEvent
from tests.factories import (
    make_imported_ranking,
    make_judge,
    make_model,
    make_person,
    make_project,
    make_ranking,
    make_task,
)

pytestmark = pytest.mark.django_db
ANY = {"headers": {"If-Match": "*"}}


@pytest.fixture
def task(project, alice):
    task = make_task(project)
    make_ranking(task, alice)
    return task


@pytest.fixture
def ann(task):
    judge = make_judge("unknown", "ann", stated=False)
    make_imported_ranking(task, judge)
    return judge


def at(project, judge=None):
    return f"/api/v1/projects/{project.slug}/judges" + (f"/{judge.pk}" if judge else "")


def patch(client, project, judge, **fields):
    address = at(project, judge)
    return client.patch(address, fields, content_type="application/json", **ANY)


def test_the_list_holds_imported_judges_of_this_project(project, ann, client_for, carol):
    make_imported_ranking(make_task(make_project()), make_judge("model", "elsewhere"))
    body = client_for(carol).get(at(project)).json()

    assert body["results"] == [
        {
            "id": str(ann.pk),
            "judge": pseudonyms.of(project, ann.pk),
            "name": "ann",
            "kind": "unknown",
            "stated": False,
            "rankings": 1,
        }
    ]


def test_a_list_of_one_kind(project, ann, client_for, carol):
    client = client_for(carol)

    assert len(client.get(at(project), {"kind": "unknown"}).json()["results"]) == 1
    assert client.get(at(project), {"kind": "model"}).json()["results"] == []
    assert client.get(at(project), {"stated": "true"}).json()["results"] == []


def test_a_judge_that_is_said_to_be_a_person_is_compared_from_then_on(
    project, ann, alice, client_for, carol
):
    assert peers.figures(project) == {}
    changed = patch(client_for(carol), project, ann, kind="person", name="Ann A.")

    assert changed.status_code == 200
    assert (changed.json()["kind"], changed.json()["stated"]) == ("person", True)
    assert set(peers.figures(project)) == {alice.uuid, ann.pk}
    event = AuditEvent.objects.get(verb="change judge")
    assert (event.actor, event.project, event.thing) == (carol, project, f"judge {ann.pk}")
    assert event.data == {
        "kind": {"from": "unknown", "to": "person"},
        "name": {"from": "ann", "to": "Ann A."},
    }
    assert Ranking.objects.filter(judge=ann.pk).count() == 1


def test_unknown_may_be_said_too(project, ann, client_for, carol):
    patch(client_for(carol), project, ann, kind="unknown")
    ann.refresh_from_db()

    assert (ann.kind, ann.stated) == ("unknown", True)


def test_saying_the_same_again_changes_nothing(project, ann, client_for, carol):
    for _ in range(2):
        assert patch(client_for(carol), project, ann, kind="model").status_code == 200

    assert AuditEvent.objects.filter(verb="change judge").count() == 1


def test_who_is_no_model_judges_as_no_model_version(project, ann, client_for, carol):
    Judge.objects.filter(pk=ann.pk).update(
        kind="model", stated=True, model_version=make_model(project)
    )
    assert patch(client_for(carol), project, ann, kind="person").status_code == 200

    ann.refresh_from_db()
    assert ann.model_version is None


def test_a_judge_of_other_projects_is_changed_by_an_administrator_of_the_site(
    project, ann, client_for, carol
):
    make_imported_ranking(make_task(make_project()), ann)
    refused = patch(client_for(carol), project, ann, kind="model")
    ann.refresh_from_db()

    assert refused.status_code == 409
    assert "administrator of the site" in refused.json()["detail"]
    assert (ann.kind, ann.stated) == ("unknown", False)
    carol.is_staff = True
    carol.save(update_fields=["is_staff"])
    assert patch(client_for(carol), project, ann, kind="model").status_code == 200


@pytest.mark.parametrize("fields", [{"kind": "robot"}, {"name": ""}, {"stated": True}])
def test_what_can_not_be_said_is_refused_at_its_field(project, ann, client_for, carol, fields):
    refused = patch(client_for(carol), project, ann, **fields)

    assert refused.status_code == 400
    assert [error["field"] for error in refused.json()["errors"]] == list(fields)


def test_a_judge_with_an_account_is_not_there(project, task, alice, client_for, carol):
    assert client_for(carol).get(at(project, alice.judge)).status_code == 404
    assert patch(client_for(carol), project, alice.judge, kind="script").status_code == 404
    assert alice.judge.kind == "person"


@pytest.mark.parametrize("role", ["labeler", "lead", "researcher"])
def test_only_admins_see_names(project, ann, client_for, role):
    client = client_for(make_person(project, role))

    assert client.get(at(project)).status_code == 403
    assert client.get(at(project, ann)).status_code == 403
    assert patch(client, project, ann, kind="model").status_code == 403


# The back office


@pytest.fixture
def office(client_for):
    return client_for(make_person(is_staff=True))


def test_the_back_office_says_what_an_imported_judge_is(office, ann):
    address = f"/back-office/labeling/judge/{ann.pk}/change/"
    assert office.get(address).status_code == 200
    saved = office.post(address, {"name": "GPT-4", "kind": "model"})
    ann.refresh_from_db()

    assert saved.status_code == 302
    assert (ann.name, ann.kind, ann.stated) == ("GPT-4", "model", True)
    assert AuditEvent.objects.filter(verb="change judge").count() == 1


def test_the_back_office_says_it_of_many_at_once_but_of_no_account(office, ann, alice):
    other = make_judge("unknown", "ben", stated=False)
    chosen = [str(judge.pk) for judge in (ann, other, alice.judge)]
    page = office.post(
        "/back-office/labeling/judge/",
        {"action": "are_people", "_selected_action": chosen},
        follow=True,
    )

    assert set(Judge.objects.filter(name__in=["ann", "ben"]).values_list("kind", "stated")) == {
        ("person", True)
    }
    assert "has an account" in page.content.decode()
    assert Judge.objects.get(account=alice).kind == "person"


def test_the_back_office_changes_no_judge_with_an_account(office, alice):
    address = f"/back-office/labeling/judge/{alice.judge.pk}/change/"
    refused = office.post(address, {"name": "x", "kind": "script"})

    assert refused.status_code == 403
    assert Judge.objects.get(account=alice).kind == "person"
