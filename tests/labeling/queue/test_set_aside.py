"""What several people skip is offered no more, until an admin decides."""

import pytest

from labeling import project_settings
from labeling.judging import judgment, rankings
from labeling.judging.progress import count_progress
from labeling.models import RankingTask
from labeling.queue import claims, leases, set_aside
from people.models import AuditEvent, Membership
from tests.factories import make_person, make_task

pytestmark = pytest.mark.django_db


@pytest.fixture
def project(project):
    project.rules.skips_to_set_aside = 2
    project.rules.save()
    return project


@pytest.fixture
def task(project):
    return make_task(project, texts=["a", "b"])


def next_for(person):
    return claims.next_for(Membership.objects.select_related("project", "user").get(user=person))


def skip(person, reason="not my subject"):
    leases.skip(next_for(person), reason)


def state(task) -> str:
    return RankingTask.objects.get(pk=task.pk).state


def test_a_task_that_enough_people_skip_is_offered_no_more(project, task, alice, bob):
    skip(alice)
    assert state(task) == "open"
    skip(bob)

    assert state(task) == "set_aside"
    assert next_for(make_person(project)) is None
    assert AuditEvent.objects.get(verb="set aside").data == {"skips": 2}


def test_a_late_skip_counts_too(project, task, alice, bob):
    held = next_for(alice)
    leases.give_back(held)
    skip(bob)
    leases.skip(held, "too long")

    assert state(task) == "set_aside"


def test_who_holds_a_task_that_is_set_aside_may_still_submit(project, alice, bob):
    task = make_task(project, texts=["a", "b"], overlap=2)
    held = next_for(dana := make_person(project))
    skip(alice)
    skip(bob)
    verdicts = {"a": judgment.Verdict(rank=1), "b": judgment.Verdict(rank=2)}
    rankings.submit(held, judgment.Judgment(verdicts))

    assert (state(task), task.rankings.get().labeler) == ("set_aside", dana)


def test_put_back_it_goes_to_those_who_have_not_skipped_it_and_skips_count_anew(
    project, task, alice, bob, carol, client_for
):
    skip(alice)
    skip(bob)
    later = make_task(project, texts=["a", "b"])
    client_for(carol).post(f"/p/demo/tasks/{task.pk}/put-back")

    assert next_for(alice).task == later
    dana = make_person(project)
    assert next_for(dana).task == task, "at its old place, before the later one"
    skip(dana)
    assert state(task) == "open"


def test_a_retired_task_is_out_for_good_until_somebody_puts_it_back(
    project, task, alice, bob, carol, client_for
):
    skip(alice)
    skip(bob)
    browser = client_for(carol)
    browser.post(f"/p/demo/tasks/{task.pk}/retire")
    assert state(task) == "retired"
    assert "Nothing is set aside" in browser.get("/p/demo/prompts/set-aside/").content.decode()
    assert "retired" in browser.get(f"/p/demo/prompts/{task.prompt_id}/").content.decode()

    browser.post(f"/p/demo/tasks/{task.pk}/put-back")
    assert state(task) == "open"
    events = AuditEvent.objects.filter(actor=carol).exclude(verb="log in").order_by("pk")
    assert list(events.values_list("verb", flat=True)) == [
        "retire",
        "put back",
    ]


def test_a_task_in_work_can_not_be_retired(project, task, carol):
    set_aside.retire(carol, task)

    assert state(task) == "open"


def test_admins_read_who_skipped_and_why(project, task, alice, bob, carol, client_for):
    skip(alice, "too technical")
    skip(bob, "<b>unclear</b>")
    browser = client_for(carol)
    for address in ("/p/demo/prompts/set-aside/", f"/p/demo/prompts/{task.prompt_id}/"):
        page = browser.get(address).content.decode()
        assert "Alice skipped it: too technical" in page
        assert "Bob skipped it: &lt;b&gt;unclear" in page
    assert (
        "1 task was skipped by several people" in browser.get("/p/demo/prompts/").content.decode()
    )


def test_the_list_takes_a_constant_number_of_queries(
    project, alice, bob, carol, client_for, django_assert_num_queries
):
    for _ in range(5):
        make_task(project, texts=["a", "b"])
        skip(alice)
        skip(bob)
    browser = client_for(carol)
    with django_assert_num_queries(6):
        assert len(browser.get("/p/demo/prompts/set-aside/").context["page"]) == 5


def test_an_admin_of_another_project_has_no_say(task, client_for):
    other = make_person(name="other")
    project_settings.create(other, slug="elsewhere", name="Elsewhere")

    assert client_for(other).post(f"/p/elsewhere/tasks/{task.pk}/put-back").status_code == 404


def test_progress_leaves_out_what_is_set_aside(project, alice, bob):
    make_task(project, texts=["a", "b"])
    skip(alice)
    skip(bob)
    make_task(project, texts=["a", "b"])
    verdicts = {"a": judgment.Verdict(rank=1), "b": judgment.Verdict(rank=2)}
    rankings.submit(next_for(alice), judgment.Judgment(verdicts))

    assert count_progress(project) == 100
