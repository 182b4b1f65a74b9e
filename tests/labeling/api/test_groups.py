"""Groups of people, and the tasks that are reserved for them or for one member."""

import threading

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from labeling.models import Group, RankingTask
from labeling.models.tasks import RESERVED
from labeling.queue import groups, reservations
from people import projects
from people.access import Refused
from people.models import Membership
from tests.factories import make_person, make_project, make_task
from tests.labeling.api.hands import AT, fields_of

pytestmark = pytest.mark.django_db


def member(person) -> Membership:
    return Membership.objects.get(user=person)


def patch(hands, path, body, tag="*"):
    headers = {"If-Match": tag}
    return hands.client.patch(AT + path, body, content_type="application/json", headers=headers)


@pytest.fixture
def task(project):
    return make_task(project)


@pytest.fixture
def group(project, carol, bob):
    return groups.create(carol, project, "Physicians", [member(bob)])


def test_an_admin_makes_a_group_and_reads_it(admin, project, alice, bob):
    ids = [member(alice).pk, member(bob).pk]
    made = admin.post("groups", {"name": "Physicians", "members": ids})

    assert made.status_code == 201
    body = made.json()
    assert made["Location"] == f"{AT}groups/{body['id']}"
    assert (body["name"], body["members"], body["tasks"]) == ("Physicians", ids, 0)
    assert admin.get(f"groups/{body['id']}").json() == body
    assert admin.get("groups").json()["results"] == [body]


def test_a_group_may_have_no_members_yet(admin, project):
    assert admin.post("groups", {"name": "Later"}).json()["members"] == []


def test_an_admin_renames_a_group_and_says_who_is_in_it(admin, group, alice, bob):
    renamed = patch(admin, f"groups/{group.pk}", {"name": "Doctors"}).json()
    assert (renamed["name"], renamed["members"]) == ("Doctors", [member(bob).pk])

    changed = patch(admin, f"groups/{group.pk}", {"members": [member(alice).pk]}).json()
    assert (changed["name"], changed["members"]) == ("Doctors", [member(alice).pk])


def test_a_change_of_what_somebody_else_changed_is_refused(admin, group, alice):
    tag = admin.get(f"groups/{group.pk}")["ETag"]
    patch(admin, f"groups/{group.pk}", {"members": [member(alice).pk]})

    assert patch(admin, f"groups/{group.pk}", {"members": []}, tag).status_code == 412


def test_members_of_other_projects_and_names_that_are_taken_are_refused(admin, group, alice):
    stranger = member(make_person(make_project()))
    for path, send in (("groups", admin.post), (f"groups/{group.pk}", None)):
        send = send or (lambda path, body: patch(admin, path, body))
        wrong = send(path, {"name": "Other", "members": [member(alice).pk, stranger.pk]})
        assert (wrong.status_code, fields_of(wrong)) == (422, {"members"})
        assert str(stranger.pk) in wrong.json()["detail"]
    assert Group.objects.get().name == "Physicians"
    taken = admin.post("groups", {"name": "Physicians"})
    assert (taken.status_code, fields_of(taken)) == (422, {"name"})


def test_a_group_is_deleted_once_no_task_is_reserved_for_it(admin, group, task):
    admin.post(f"tasks/{task.pk}/reserve", {"group": group.pk})
    assert admin.get(f"groups/{group.pk}").json()["tasks"] == 1
    assert admin.client.delete(f"{AT}groups/{group.pk}").status_code == 409

    admin.post(f"tasks/{task.pk}/reserve")
    assert admin.get(f"groups/{group.pk}").json()["tasks"] == 0
    assert admin.client.delete(f"{AT}groups/{group.pk}").status_code == 204
    assert not Group.objects.exists()


def test_the_list_takes_as_many_queries_for_many_groups(admin, project, carol, group):
    def queries() -> int:
        with CaptureQueriesContext(connection) as ran:
            assert admin.get("groups").status_code == 200
        return len(ran)

    queries()
    of_one = queries()
    for name in "abcd":
        groups.create(carol, project, name, [member(carol)])
    assert queries() == of_one


# Reserved tasks


def test_a_task_is_reserved_for_a_member_for_a_group_and_for_nobody_again(admin, task, group, bob):
    def shown(body=None):
        response = admin.post(f"tasks/{task.pk}/reserve", body)
        assert response.status_code == 200
        names = ("reserved", "reserved_for_member", "reserved_for_group")
        return tuple(response.json()[name] for name in names)

    assert shown({"member": member(bob).pk}) == (True, member(bob).pk, None)
    assert shown({"group": group.pk}) == (True, None, group.pk)
    assert shown({"member": None}) == (False, None, None)


def test_a_reserved_task_is_given_to_nobody_else(admin, labeler, hands_of, task, bob):
    admin.post(f"tasks/{task.pk}/reserve", {"member": member(bob).pk})

    assert labeler.post("assignments").status_code == 204
    assert hands_of(bob).claim()


def test_a_reservation_names_one_member_or_group_of_the_project(admin, task, group, bob):
    both = admin.post(f"tasks/{task.pk}/reserve", {"member": member(bob).pk, "group": group.pk})
    assert (both.status_code, fields_of(both)) == (400, {"group"})
    elsewhere = make_project()
    strange = {
        "member": member(make_person(elsewhere)).pk,
        "group": groups.create(None, elsewhere, "Strangers").pk,
    }
    for name, pk in strange.items():
        wrong = admin.post(f"tasks/{task.pk}/reserve", {name: pk})
        assert (wrong.status_code, fields_of(wrong)) == (422, {name})
    researcher = make_person(task.project, "researcher")
    wrong = admin.post(f"tasks/{task.pk}/reserve", {"member": member(researcher).pk})
    assert (wrong.status_code, fields_of(wrong)) == (422, {"member"})
    assert not RankingTask.objects.filter(RESERVED).exists()


def test_reserved_and_stuck_tasks_are_listed_and_counted(admin, project, carol, alice, bob, group):
    for_alice, for_bob, for_group, for_nobody = (make_task(project) for _ in range(4))
    reservations.reserve(carol, for_alice, member=member(alice))
    reservations.reserve(carol, for_bob, member=member(bob))
    reservations.reserve(carol, for_group, group=group)
    alices, bobs = member(alice).pk, member(bob).pk

    def listed(**asked) -> list[int]:
        return [one["id"] for one in admin.get("tasks", **asked).json()["results"]]

    assert listed(reserved="true") == [for_group.pk, for_bob.pk, for_alice.pk]
    assert listed(reserved="false") == [for_nobody.pk]
    assert listed(reserved_for_member=bobs) == [for_bob.pk]
    assert listed(reserved_for_group=group.pk) == [for_group.pk]
    assert listed(stuck="true") == []
    assert admin.get("tasks/reserved").json() == {"waiting": 3, "stuck": 0}

    projects.remove_member(carol, member(bob))

    assert listed(stuck="true") == [for_group.pk, for_bob.pk]
    assert listed(stuck="false") == [for_nobody.pk, for_alice.pk]
    assert admin.get("tasks/reserved").json() == {"waiting": 3, "stuck": 2}
    shown = admin.get(f"tasks/{for_bob.pk}").json()
    assert (shown["reserved"], shown["reserved_for_member"]) == (True, None)
    assert admin.get(f"tasks/{for_alice.pk}").json()["reserved_for_member"] == alices


def test_the_list_of_tasks_takes_as_many_queries_with_reserved_ones(admin, project, carol, bob):
    def queries() -> int:
        with CaptureQueriesContext(connection) as ran:
            assert admin.get("tasks").status_code == 200
        return len(ran)

    tasks = [make_task(project) for _ in range(3)]
    queries()
    before = queries()
    for task in tasks:
        reservations.reserve(carol, task, member=member(bob))
    assert queries() == before


@pytest.mark.parametrize("role", ["labeler", "lead", "researcher"])
def test_only_admins_see_groups_and_reserve_tasks(hands_of, project, task, group, role):
    person = hands_of(make_person(project, role, "somebody"))
    reads = role == "researcher"

    assert person.get("groups").status_code == 403
    assert person.get(f"groups/{group.pk}").status_code == 403
    assert person.post("groups", {"name": "Mine"}).status_code == 403
    assert patch(person, f"groups/{group.pk}", {"members": []}).status_code == 403
    assert person.client.delete(f"{AT}groups/{group.pk}").status_code == 403
    assert person.post(f"tasks/{task.pk}/reserve", {"group": group.pk}).status_code == 403
    assert person.get("tasks/reserved").status_code == (200 if reads else 403)
    assert Group.objects.count() == 1


def test_a_labeler_is_not_told_that_a_task_is_reserved_for_them(admin, hands_of, task, bob):
    """Neither in the task nor in what else they are shown."""
    labeler = hands_of(bob)
    before = labeler.claim()
    labeler.post(f"assignments/{before['id']}/return")
    admin.post(f"tasks/{task.pk}/reserve", {"member": member(bob).pk})
    after = labeler.claim()

    assert after.keys() == before.keys()
    assert "reserved" not in str(after).replace("reservation", "")
    changing = ("leased_until", "draft_at", "ended_at")
    assert [after[name] for name in after if name not in changing] == [
        before[name] for name in before if name not in changing
    ]


def test_another_projects_groups_are_not_found(admin, project):
    strange = groups.create(None, make_project(), "Strangers")

    assert admin.get("groups").json()["results"] == []
    assert admin.get(f"groups/{strange.pk}").status_code == 404
    assert patch(admin, f"groups/{strange.pk}", {"name": "Ours"}).status_code == 404
    assert admin.client.delete(f"{AT}groups/{strange.pk}").status_code == 404


@pytest.mark.django_db(transaction=True)
def test_of_two_groups_of_one_name_at_once_the_second_is_refused(project, carol):
    start, told = threading.Barrier(2), []

    def make():
        try:
            start.wait()
            groups.create(carol, project, "Physicians")
            told.append("made")
        except Exception as error:
            told.append(type(error))
        finally:
            connection.close()

    threads = [threading.Thread(target=make) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(map(str, told)) == sorted(["made", str(Refused)])
