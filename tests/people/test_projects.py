"""Projects and their people: create, change, pause, archive."""

from uuid import uuid4

import pytest

from labeling import project_settings
from labeling.models import Assignment, Ranking
from labeling.queue import claims
from modelops import jobs
from people import projects
from people.access import Refused
from people.models import AuditEvent, Membership, Project
from tests.factories import make_person, make_project, make_ranking, make_task

pytestmark = pytest.mark.django_db
NEW = {"name": "Helper", "slug": "helper", "k": 4, "overlap": 1}


def of(person):
    return Membership.objects.select_related("project", "user").get(user=person)


def test_whoever_creates_a_project_is_its_admin(client_for):
    root = make_person(is_staff=True)
    response = client_for(root).post("/projects/new", NEW | {"key": uuid4()})

    assert response.url == "/p/helper/"
    assert of(root).role == "admin"


def test_the_same_form_twice_is_one_project(client_for):
    browser, form = client_for(make_person(is_staff=True)), NEW | {"key": uuid4()}
    first, second = browser.post("/projects/new", form), browser.post("/projects/new", form)

    assert first.url == second.url
    assert Project.objects.count() == 1


def test_a_short_name_in_use_is_refused_at_its_field(client_for):
    make_project(slug="helper")
    response = client_for(make_person(is_staff=True)).post("/projects/new", NEW | {"key": uuid4()})

    assert (response.status_code, list(response.context["form"].errors)) == (422, ["slug"])


def test_somebody_with_an_account_is_added_by_email(client_for, project, carol, stranger):
    client_for(carol).post(
        "/p/demo/people/", {"key": uuid4(), "email": "Stranger@example.org", "role": "researcher"}
    )

    assert of(stranger).role == "researcher"


def test_a_role_can_be_changed(client_for, project, carol, alice):
    client_for(carol).post(f"/p/demo/people/{of(alice).pk}/role", {"role": "lead"})

    assert of(alice).role == "lead"


def test_a_project_keeps_its_last_admin(carol):
    with pytest.raises(Refused):
        projects.change_role(carol, of(carol), "labeler")
    with pytest.raises(Refused):
        projects.pause(carol, of(carol))


def test_a_paused_member_gives_back_what_they_hold(client_for, project, carol, alice):
    make_task(project)
    held = claims.next_for(of(alice))
    client_for(carol).post(f"/p/demo/people/{of(alice).pk}/pause")

    held.refresh_from_db()
    assert held.state == Assignment.State.RETURNED
    assert of(alice).paused


def test_a_pause_in_one_project_leaves_the_others_alone(carol, alice, project):
    other = make_project()
    Membership.objects.create(project=other, user=alice)
    make_task(other)
    held = claims.next_for(
        Membership.objects.select_related("project", "user").get(user=alice, project=other)
    )
    projects.pause(carol, Membership.objects.get(user=alice, project=project))

    held.refresh_from_db()
    assert held.state == Assignment.State.LEASED


def test_a_removed_member_gives_back_what_they_hold_and_their_work_stays(
    client_for, project, carol, alice
):
    make_ranking(make_task(project), alice)
    make_task(project)
    held = claims.next_for(of(alice))
    client_for(carol).post(f"/p/demo/people/{of(alice).pk}/remove")

    held.refresh_from_db()
    assert held.state == Assignment.State.RETURNED
    assert client_for(alice).get("/p/demo/rank/").status_code == 404
    assert Ranking.objects.get().labeler == alice


def test_the_last_admin_is_not_removed(client_for, project, carol):
    page = client_for(carol).post(f"/p/demo/people/{of(carol).pk}/remove", follow=True)

    assert "needs at least one admin" in page.content.decode()
    assert of(carol).role == "admin"


def test_an_admin_whose_account_is_paused_does_not_count_as_one(project, carol):
    make_person(project, "admin", state="paused")
    with pytest.raises(Refused):
        projects.remove_member(carol, of(carol))


def test_an_admin_who_goes_is_sent_home(client_for, project, carol):
    make_person(project, "admin")

    assert client_for(carol).post(f"/p/demo/people/{of(carol).pk}/remove").url == "/"


def test_a_member_leaves_by_themselves_and_can_be_added_again(client_for, project, carol, alice):
    make_task(project)
    held = claims.next_for(of(alice))
    browser = client_for(alice)
    assert "/p/demo/leave" in browser.get("/account/").content.decode()
    page = browser.post("/p/demo/leave", follow=True).content.decode()

    held.refresh_from_db()
    assert held.state == Assignment.State.RETURNED
    assert "You have left Demo" in page
    assert "/p/demo/leave" not in page
    assert browser.get("/p/demo/rank/").status_code == 404
    assert AuditEvent.objects.get(verb="leave project").actor == alice

    projects.add_member(carol, project, alice.email, "labeler")
    assert claims.next_for(of(alice)) == held


def test_the_last_admin_does_not_leave(client_for, project, carol):
    page = client_for(carol).post("/p/demo/leave", follow=True).content.decode()

    assert "needs at least one admin" in page
    assert of(carol).role == "admin"


def test_an_archived_project_can_be_left(client_for, project, carol, alice):
    project_settings.change(carol, project, state="archived")
    client_for(alice).post("/p/demo/leave")

    assert not Membership.objects.filter(user=alice).exists()


def test_archiving_returns_leases_and_cancels_waiting_jobs(carol, alice, project):
    make_task(project)
    held, job = claims.next_for(of(alice)), jobs.request(carol, project, "freeze")
    project_settings.change(carol, project, state="archived")

    held.refresh_from_db()
    job.refresh_from_db()
    assert (held.state, job.state) == ("returned", "cancelled")


def test_an_archived_project_is_read_only_until_it_is_opened_again(client_for, carol, project):
    project_settings.change(carol, project, state="archived")
    browser = client_for(carol)
    settings = {
        "name": "Demo",
        "k": 4,
        "overlap": 1,
        "lease_minutes": 30,
        "zone": "UTC",
        "state": "open",
    }
    settings |= {"completion": "depth", "skips_to_set_aside": 3, "gold_share": 0}

    assert browser.get("/p/demo/loop/").status_code == 200
    assert browser.post("/p/demo/jobs/new/freeze/", {"kind": "judgments"}).status_code == 403
    assert browser.post("/p/demo/settings/", settings).status_code == 302
    assert Project.objects.get().state == "open"


def test_a_draft_is_seen_by_its_admins_only(client_for, carol, alice, project):
    project_settings.change(carol, project, state="draft")

    assert client_for(carol).get("/p/demo/loop/").status_code == 200
    assert client_for(alice).get("/p/demo/rank/").status_code == 404
    assert "Demo" not in client_for(alice).get("/").content.decode()
