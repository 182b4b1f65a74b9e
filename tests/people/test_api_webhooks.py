"""Webhooks through the API: the pages' verbs, for admins alone, and a secret that is told once."""

import pytest

from people.models import Delivery, Webhook
from people.webhooks import delivery as deliveries
from people.webhooks import registry
from tests.factories import make_person, make_project
from tests.people.test_api import api, patch, post
from tests.people.webhooks.receiver import Receiver

pytestmark = pytest.mark.django_db
ANY = {"If-Match": "*"}
HOOKS = "projects/demo/webhooks"


@pytest.fixture(autouse=True)
def private(settings):
    settings.WEBHOOK_PRIVATE = True


@pytest.fixture
def script(carol):
    return api(carol)


@pytest.fixture
def hook(project, carol):
    return registry.make(carol, project, "http://127.0.0.1:9/", ["job.finished"])[0]


def test_a_webhook_is_made_tested_and_its_secret_told_once(script, project):
    with Receiver() as receiver:
        asked = {"url": receiver.url, "events": ["job.finished", "ranking.submitted"]}
        made, again = (post(script, HOOKS, asked, **{"Idempotency-Key": "one"}) for _ in "12")
        sent = post(script, f"{HOOKS}/{made.json()['id']}/test", {})
        deliveries.deliver()
        [event] = receiver.events(made.json()["secret"])

    assert (made.status_code, made["Location"]) == (201, f"/api/v1/{HOOKS}/{made.json()['id']}")
    assert again.json() == {name: value for name, value in made.json().items() if name != "secret"}
    assert made.json()["events"] == ["ranking.submitted", "job.finished"]
    assert (sent.status_code, sent.json()["state"], event["type"]) == (
        202,
        "waiting",
        "webhook.ping",
    )
    [told] = script.get(f"{made['Location']}/deliveries?state=delivered&event=webhook.ping").json()[
        "results"
    ]
    assert (told["status"], told["attempts"], told["payload"]["data"]) == (204, 1, event["data"])
    assert "secret" not in script.get(made["Location"]).json()


def test_a_webhook_is_changed_switched_and_removed(script, hook):
    path = f"{HOOKS}/{hook.pk}"
    assert patch(script, path, {"events": ["task.complete"]}).status_code == 428
    changed = patch(script, path, {"events": ["task.complete"], "active": False}, **ANY).json()
    assert (changed["events"], changed["active"], changed["state"]) == (
        ["task.complete"],
        False,
        "off",
    )
    assert patch(script, path, {"active": True}, **ANY).json()["state"] == "active"
    assert patch(script, path, {"url": "http://localhost/x"}, **ANY).json()["events"] == [
        "task.complete"
    ]
    assert script.delete(f"/api/v1/{path}").status_code == 204
    assert not Webhook.objects.exists()


def test_a_renewed_secret_is_told_once(script, hook):
    told, again = (
        post(script, f"{HOOKS}/{hook.pk}/renew-secret", {}, **{"Idempotency-Key": "one"})
        for _ in "12"
    )
    hook.refresh_from_db()
    assert told.json() == {"secret": registry.secrets(hook)[0]}
    assert again.json() == {}


def test_a_delivery_is_sent_again_unless_its_webhook_is_off(script, hook, carol, project):
    registry.emit(project, "job.finished", "jobs/1", job=1)
    path = f"projects/demo/deliveries/{Delivery.objects.get().pk}/redeliver"
    Delivery.objects.update(state="given_up", next_at=None)

    assert post(script, path, {}).json()["state"] == "waiting"
    registry.switch_off(carol, hook)
    refused = post(script, path, {})
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:podium:refused")


@pytest.mark.parametrize(
    ("asked", "field", "status"),
    [
        ({"url": "ftp://example.org"}, "url", 400),
        ({"url": "https://nowhere.invalid"}, "url", 422),
        ({"url": "https://127.0.0.1"}, "url", 422),
        ({}, "url", 400),
        ({"url": "https://127.0.0.1", "events": []}, "events", 400),
        ({"url": "https://127.0.0.1", "events": ["all"]}, "events.0", 400),
    ],
)
def test_what_is_wrong_is_refused_at_its_field(script, project, settings, asked, field, status):
    settings.WEBHOOK_PRIVATE = False
    answer = post(script, HOOKS, asked)
    assert (answer.status_code, [one["field"] for one in answer.json()["errors"]]) == (
        status,
        [field],
    )


def test_an_address_that_is_private_is_refused_in_a_change_too(script, hook, settings):
    settings.WEBHOOK_PRIVATE = False
    answer = patch(script, f"{HOOKS}/{hook.pk}", {"url": "https://10.0.0.1"}, **ANY)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "url")


@pytest.mark.parametrize(
    ("role", "status"),
    [("researcher", 403), ("lead", 403), ("labeler", 403), ("stranger", 404), ("elsewhere", 404)],
)
def test_webhooks_are_for_the_projects_admins(project, carol, hook, role, status):
    into = {"stranger": None, "elsewhere": make_project()}.get(role, project)
    person = make_person(into, "admin" if role == "elsewhere" else role)
    delivery = registry.ping(carol, hook)
    script = api(person)

    assert script.get(f"/api/v1/{HOOKS}").status_code == status
    for below in ("", "/deliveries"):
        assert script.get(f"/api/v1/{HOOKS}/{hook.pk}{below}").status_code == status
    for path in (
        f"{HOOKS}/{hook.pk}/test",
        f"{HOOKS}/{hook.pk}/renew-secret",
        f"projects/demo/deliveries/{delivery.pk}/redeliver",
    ):
        assert post(script, path, {}).status_code == status
    assert script.delete(f"/api/v1/{HOOKS}/{hook.pk}").status_code == status


def test_another_projects_webhooks_are_not_found(script, carol):
    other = make_project(slug="other")
    theirs = registry.make(
        make_person(other, "admin"), other, "https://example.org", ["job.finished"]
    )[0]
    delivery = registry.ping(carol, theirs)
    for path in (f"{HOOKS}/{theirs.pk}", f"{HOOKS}/{theirs.pk}/deliveries"):
        assert script.get(f"/api/v1/{path}").status_code == 404
    assert post(script, f"projects/demo/deliveries/{delivery.pk}/redeliver", {}).status_code == 404


def test_lists_take_as_many_queries_for_many_as_for_one(
    script, project, carol, hook, django_assert_num_queries
):
    script.get("/api/v1/me")
    for number in (1, 5):
        with django_assert_num_queries(3):
            assert len(script.get(f"/api/v1/{HOOKS}").json()["results"]) == number
        with django_assert_num_queries(4):
            script.get(f"/api/v1/{HOOKS}/{hook.pk}/deliveries")
        for _ in range(4):
            registry.make(carol, project, "https://example.org", ["job.finished"])
            registry.ping(carol, hook)
