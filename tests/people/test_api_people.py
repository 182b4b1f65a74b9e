"""Projects, members, invitations, accounts and the audit trail through the API: the pages' verbs
and the pages' rules.
"""

import pytest
from django.core import mail as outgoing

from labeling import project_settings
from people import mail, projects
from people.models import AuditEvent, Invitation, Membership, Project, User
from tests.factories import make_person, make_project
from tests.people.test_api import api, patch, post

pytestmark = pytest.mark.django_db
ANY = {"If-Match": "*"}


@pytest.fixture
def root(db):
    """An administrator of the site, in no project."""
    person = make_person(name="root")
    person.is_staff = True
    person.save()
    return person


# Projects


def test_an_administrator_begins_a_project_and_is_its_admin(root):
    made = post(api(root), "projects", {"name": "New", "slug": "new", "k": 3})

    assert (made.status_code, made["Location"]) == (201, "/api/v1/projects/new")
    assert made.json()["k"] == 3
    assert api(root).get("/api/v1/projects").json()["results"][0]["role"] == "admin"
    again = post(api(root), "projects", {"name": "New", "slug": "new"})
    assert (again.status_code, again.json()["errors"][0]["field"]) == (422, "slug")


def test_nobody_else_begins_one(carol):
    assert post(api(carol), "projects", {"name": "New", "slug": "new"}).status_code == 403


def test_one_sees_ones_own_projects_and_no_draft_of_others(alice, project):
    other, draft = make_project(), make_project(state="draft")
    Membership.objects.create(project=draft, user=alice, role="labeler")

    found = api(alice).get("/api/v1/projects").json()["results"]

    assert [(one["slug"], one["role"]) for one in found] == [("demo", "labeler")]
    for slug in (other.slug, draft.slug):
        assert api(alice).get(f"/api/v1/projects/{slug}").status_code == 404


def test_an_admin_changes_settings_and_a_labeler_does_not(alice, carol, project):
    assert (
        patch(api(carol), "projects/demo", {"overlap": 3, "flags": ["opinion"]}, **ANY).json()[
            "overlap"
        ]
        == 3
    )
    assert patch(api(alice), "projects/demo", {"overlap": 2}, **ANY).status_code == 403
    wrong = patch(
        api(carol), "projects/demo", {"k": 12, "zone": "Moon/Base", "flags": ["x" * 101]}, **ANY
    )
    assert [one["field"] for one in wrong.json()["errors"]] == ["k", "flags.0", "zone"]
    assert AuditEvent.objects.get(verb="change project").data["fields"] == ["overlap", "flags"]


def test_an_archived_project_is_read_only_but_can_be_opened_again(carol, project):
    script = api(carol)
    patch(script, "projects/demo", {"state": "archived"}, **ANY)
    assert post(script, "projects/demo/members", {"email": carol.email}).status_code == 403
    assert patch(script, "projects/demo", {"state": "open"}, **ANY).status_code == 200


# Members


def test_an_admin_lets_people_in_changes_their_part_and_takes_them_out(carol, stranger, project):
    script = api(carol)
    made = post(
        script, "projects/demo/members", {"email": stranger.email.upper(), "role": "researcher"}
    )
    path = made["Location"].removeprefix("/api/v1/")

    assert patch(script, path, {"role": "lead", "paused": True}, **ANY).json()["paused"] is True
    member = Membership.objects.get(user=stranger)
    assert (member.role, member.paused) == ("lead", True)
    assert script.delete(made["Location"]).status_code == 204
    assert not Membership.objects.filter(user=stranger).exists()


def test_whoever_has_no_account_is_to_be_invited(carol):
    answer = post(api(carol), "projects/demo/members", {"email": "nobody@podium.test"})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "email")


def test_the_last_admin_stays(carol, project):
    mine = Membership.objects.get(user=carol)
    assert (
        patch(
            api(carol), f"projects/demo/members/{mine.pk}", {"role": "labeler"}, **ANY
        ).status_code
        == 409
    )
    assert post(api(carol), "projects/demo/leave", {}).status_code == 409
    mine.refresh_from_db()
    assert mine.role == "admin"


def test_a_labeler_sees_no_members_and_may_leave(alice, carol, project):
    assert api(alice).get("/api/v1/projects/demo/members").status_code == 403
    assert post(api(alice), "projects/demo/leave", {}).status_code == 204
    assert api(alice).get("/api/v1/projects/demo").status_code == 404


def test_lists_take_as_many_queries_for_many_as_for_one(
    carol, project, django_assert_max_num_queries
):
    for number in range(6):
        projects.add_member(carol, project, make_person(name=f"p{number}").email, "labeler")
    script = api(carol)
    script.get("/api/v1/me")
    for path in ("members", "audit", "invitations"):
        with django_assert_max_num_queries(4):
            assert script.get(f"/api/v1/projects/demo/{path}").status_code == 200
    with django_assert_max_num_queries(3):
        script.get("/api/v1/projects")


# Invitations


def test_an_invitations_link_is_mailed_and_told_once(carol, project):
    script, key = api(carol), {"Idempotency-Key": "one"}
    made, again = (
        post(
            script, "projects/demo/invitations", {"email": "new@podium.test", "role": "lead"}, **key
        )
        for _ in "12"
    )

    assert "/join/" in made.json()["link"]
    assert "link" not in again.json()
    invitation = Invitation.objects.get()
    assert (invitation.role, invitation.project) == ("lead", project)
    mail.deliver()
    assert made.json()["link"] in outgoing.outbox[0].body


def test_an_invitation_is_renewed_and_withdrawn_by_its_projects_admins_only(carol, alice, root):
    made = post(api(carol), "projects/demo/invitations", {"email": "new@podium.test"}).json()
    path = f"invitations/{made['id']}"

    assert post(api(alice), f"{path}/renew", {}).status_code == 403
    assert api(root).delete(f"/api/v1/{path}").status_code == 404
    assert post(api(carol), f"{path}/renew", {}).json()["link"] != made["link"]
    assert api(carol).delete(f"/api/v1/{path}").status_code == 204
    assert post(api(carol), f"{path}/renew", {}).status_code == 409


def test_an_administrator_invites_to_the_site(root, carol):
    assert post(api(carol), "invitations", {"email": "new@podium.test"}).status_code == 403
    assert post(api(root), "invitations", {"email": "new@podium.test"}).json()["project"] is None
    assert [one["email"] for one in api(root).get("/api/v1/invitations").json()["results"]] == [
        "new@podium.test"
    ]


# Accounts


def test_an_administrator_makes_pauses_and_lets_in(root):
    script = api(root)
    made = post(script, "accounts", {"email": "New@Podium.test", "name": "New"})
    person = User.objects.get(email="new@podium.test")

    assert person.check_password(made.json()["password"])
    assert post(script, f"accounts/{person.pk}/pause", {}).json()["state"] == "paused"
    assert post(script, f"accounts/{person.pk}/activate", {}).json()["state"] == "active"
    assert post(script, f"accounts/{person.pk}/unlock", {}).status_code == 200
    assert (
        patch(script, f"accounts/{person.pk}", {"simulated": True}, **ANY).json()["simulated"]
        is True
    )
    password = post(script, f"accounts/{person.pk}/password", {}).json()["password"]
    person.refresh_from_db()
    assert person.check_password(password)


def test_nobody_else_sees_accounts(carol, alice):
    for method, path in (
        ("get", "accounts"),
        ("get", f"accounts/{alice.pk}"),
        ("post", f"accounts/{alice.pk}/pause"),
    ):
        assert getattr(api(carol), method)(f"/api/v1/{path}").status_code == 403


def test_the_last_administrator_stays_one(root):
    assert patch(api(root), f"accounts/{root.pk}", {"is_staff": False}, **ANY).status_code == 422
    assert post(api(root), f"accounts/{root.pk}/pause", {}).status_code == 409


# The trail


def test_an_admin_reads_what_was_done(carol, alice, project):
    Project.objects.filter(pk=project.pk).update(name="Demo")
    project_settings.change(carol, Project.objects.get(pk=project.pk), overlap=2)
    found = (
        api(carol).get("/api/v1/projects/demo/audit", {"verb": "change project"}).json()["results"]
    )

    assert [(one["actor"], one["data"]["fields"]) for one in found] == [(carol.email, ["overlap"])]
    assert api(alice).get("/api/v1/projects/demo/audit").status_code == 403
    assert api(carol).get("/api/v1/projects/demo/audit", {"since": "yesterday"}).status_code == 400
