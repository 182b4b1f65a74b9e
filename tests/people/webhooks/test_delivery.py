"""What webhooks are told arrives, signed, however often its server fails or a worker dies; and
nowhere it must not.
"""

from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.timezone import now
from standardwebhooks import WebhookVerificationError

from people import public_urls
from people.access import Refused
from people.models import AuditEvent, Delivery, Project, Webhook
from people.webhooks import delivery, registry
from tests.factories import make_project
from tests.people.webhooks.receiver import Receiver, drips, hangs, says
from workers.queues import sweep, tidy

pytestmark = pytest.mark.django_db
FROZEN = Webhook.Event.DATASET_FROZEN
ALL = list(Webhook.Event.values)


@pytest.fixture(autouse=True)
def private(settings):
    """The tests' own server is on this machine."""
    settings.WEBHOOK_PRIVATE = True


@pytest.fixture
def receiver():
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def hook(project, carol, receiver):
    return make(project, carol, receiver.url)


def make(project, carol, url="https://example.org/", events=(FROZEN,)) -> Webhook:
    webhook, webhook.secret = registry.make(carol, project, url, list(events))
    return webhook


def happens(project, event=FROZEN) -> None:
    registry.emit(Project.objects.get(pk=project.pk), event, "datasets/7", dataset=7)


def only(hook) -> Delivery:
    return Delivery.objects.get(webhook=hook)


def let_pass(hook, **time) -> None:
    """What waits for its time is due as if so much time had passed."""
    for one in hook.deliveries.exclude(next_at=None):
        hook.deliveries.filter(pk=one.pk).update(next_at=one.next_at - timedelta(**time))


# Telling


def test_an_event_arrives_signed_and_says_where_to_read_more(hook, project, receiver):
    happens(project)
    delivery.deliver()

    [event] = receiver.events(hook.secret)
    assert event["type"] == "dataset.frozen"
    assert event["data"] == {
        "dataset": 7,
        "project": "demo",
        "address": "/api/v1/projects/demo/datasets/7",
    }
    assert receiver.ids() == [only(hook).event_id]
    assert (only(hook).state, only(hook).status, only(hook).attempts) == ("delivered", 204, 1)


def test_the_wrong_secret_verifies_nothing(hook, project, receiver):
    happens(project)
    delivery.deliver()
    with pytest.raises(WebhookVerificationError):
        receiver.events(registry.secret(hook.pk))


def test_an_event_is_told_to_each_webhook_that_waits_for_it_and_to_no_other(hook, project, carol):
    also, other = make(project, carol, events=ALL), make(project, carol, events=["job.finished"])
    elsewhere = make(make_project(), carol, events=ALL)
    happens(project)

    assert [one.deliveries.count() for one in (hook, also, other, elsewhere)] == [1, 1, 0, 0]
    assert only(hook).event_id == only(also).event_id


def test_a_deed_that_is_taken_back_is_told_to_nobody(hook, project):
    with transaction.atomic():
        happens(project)
        transaction.set_rollback(True)
    assert not Delivery.objects.exists()


def test_where_nobody_waits_telling_asks_the_database_nothing(
    hook, project, django_assert_num_queries
):
    fresh = Project.objects.get(pk=project.pk)
    with django_assert_num_queries(0):
        registry.emit(fresh, "job.finished", "jobs/1", job=1)


def test_a_project_knows_what_its_webhooks_wait_for(project, carol):
    def awaited():
        return Project.objects.get(pk=project.pk).awaited

    first, second = make(project, carol, events=["job.finished", FROZEN]), make(project, carol)
    assert awaited() == ["job.finished", FROZEN]
    registry.change(carol, first, events=["ranking.submitted"])
    assert awaited() == ["ranking.submitted", FROZEN]
    registry.switch_off(carol, second)
    assert awaited() == ["ranking.submitted"]
    registry.switch_on(carol, second)
    registry.remove(carol, first)
    assert awaited() == [FROZEN]


def test_every_verb_leaves_an_event(project, carol):
    hook = make(project, carol)
    registry.change(carol, hook, url="https://example.org/other")
    registry.change(carol, hook, url="https://example.org/other")
    registry.renew_secret(carol, hook)
    registry.redeliver(carol, registry.ping(carol, hook))
    for verb in (registry.switch_off, registry.switch_off, registry.switch_on, registry.remove):
        verb(carol, hook)

    verbs = [
        verb.split(" webhook")[0]
        for verb in AuditEvent.objects.order_by("pk").values_list("verb", flat=True)
    ]
    assert verbs == [
        "make",
        "change",
        "renew secret of",
        "ping",
        "redeliver",
        "switch off",
        "switch on",
        "switch off",
        "remove",
    ]


def test_one_too_many_is_refused_in_words(project, carol, monkeypatch):
    monkeypatch.setattr(registry, "MOST", 0)
    with pytest.raises(Refused, match="Remove one first"):
        make(project, carol)


# Failing


def test_what_fails_is_sent_again_later_under_the_same_id(hook, project, receiver):
    receiver.plan = [says(500, b"out of \0 order"), says(200, b"ok")]
    happens(project)
    delivery.deliver()
    failed = only(hook)
    assert (failed.state, failed.status, failed.error) == (
        "failed",
        500,
        "The server answered 500.",
    )
    assert failed.response == "out of  order"
    assert timedelta(seconds=2) < failed.next_at - now() < timedelta(seconds=7)

    delivery.deliver()
    assert len(receiver.got) == 1
    let_pass(hook, seconds=7)
    delivery.deliver()

    assert (only(hook).state, only(hook).response, only(hook).attempts) == ("delivered", "ok", 2)
    assert len(set(receiver.ids())) == 1
    assert len(receiver.events(hook.secret)) == 2


def test_it_waits_longer_each_time_and_gives_up_in_the_end(hook, project, receiver):
    receiver.plan = [says(503)]
    happens(project)
    pauses = []
    while only(hook).state != "given_up":
        let_pass(hook, days=2)
        delivery.deliver()
        pauses.append(only(hook).next_at and (only(hook).next_at - now()).total_seconds())

    assert len(receiver.got) == len(delivery.RETRY_SECONDS) + 1
    *waited, last = pauses
    assert last is None
    assert all(
        0.75 * pause < seconds < 1.25 * pause
        for seconds, pause in zip(waited, delivery.RETRY_SECONDS, strict=True)
    )


@pytest.mark.parametrize("server", [hangs, drips])
def test_a_server_that_does_not_get_done_is_left(hook, project, receiver, server, monkeypatch):
    monkeypatch.setattr(delivery, "TIMEOUT", 0.2)
    monkeypatch.setattr(delivery, "ATTEMPT_SECONDS", 0.4)
    receiver.plan = [server]
    happens(project)
    delivery.deliver()

    assert only(hook).state == "failed"
    assert only(hook).error in (
        "No data for 0.2 seconds.",
        "No response within 0.4 seconds.",
    )
    assert 0.2 <= only(hook).seconds < 0.6


def test_a_redirect_is_not_followed(hook, project, receiver):
    receiver.plan = [says(302, Location=receiver.url), says(200)]
    happens(project)
    delivery.deliver()
    assert (only(hook).state, only(hook).status, len(receiver.got)) == ("failed", 302, 1)


def test_of_a_long_answer_the_beginning_is_kept(hook, project, receiver):
    receiver.plan = [says(200, "ä".encode() * 100_000)]
    happens(project)
    delivery.deliver()
    assert (only(hook).state, only(hook).response) == ("delivered", "ä" * 1000)


def test_a_server_that_is_not_there_fails_the_delivery(project, carol, receiver):
    hook = make(project, carol, f"http://127.0.0.1:{receiver.server_port}/")
    receiver.__exit__()
    happens(project)
    delivery.deliver()
    assert (only(hook).state, only(hook).status) == ("failed", None)
    assert only(hook).error


def test_a_server_that_is_gone_ends_its_webhook(hook, project, receiver):
    receiver.plan = [says(410)]
    happens(project)
    delivery.deliver()

    hook.refresh_from_db()
    assert (hook.state, only(hook).state) == ("gone", "given_up")
    assert Project.objects.get(pk=project.pk).awaited == []
    assert AuditEvent.objects.get(verb="switch off webhook").actor is None


def test_a_webhook_that_failed_for_five_days_is_switched_off(hook, project, receiver):
    receiver.plan = [says(500)]
    happens(project)
    for days, state in ((0, "active"), (4, "active"), (6, "failing")):
        Webhook.objects.filter(failing_since__isnull=False).update(
            failing_since=now() - timedelta(days=days)
        )
        let_pass(hook, days=1)
        delivery.deliver()
        hook.refresh_from_db()
        assert hook.state == state
    assert Project.objects.get(pk=project.pk).awaited == []


def test_what_arrives_ends_the_failing(hook, project, receiver):
    receiver.plan = [says(500), says(200)]
    happens(project)
    for failing in (True, False):
        let_pass(hook, days=1)
        delivery.deliver()
        hook.refresh_from_db()
        assert (hook.failing_since is not None) == failing


def test_what_waits_for_a_webhook_that_is_off_is_given_up_but_a_ping_arrives(
    hook, project, carol, receiver
):
    happens(project)
    registry.switch_off(carol, hook)
    registry.ping(carol, hook)
    delivery.deliver()

    assert [event["type"] for event in receiver.events(hook.secret)] == ["webhook.ping"]
    assert hook.deliveries.get(event=FROZEN).error == "Its webhook was switched off."
    with pytest.raises(Refused, match="Switch it on"):
        registry.redeliver(carol, hook.deliveries.get(event=FROZEN))


def test_the_address_of_an_event_has_the_path_of_the_site(hook, carol, receiver, settings):
    settings.PATH = "/podium"
    registry.ping(carol, hook)
    delivery.deliver()

    [event] = receiver.events(hook.secret)
    address = f"/podium/api/v1/projects/{hook.project.slug}/webhooks/{hook.pk}"
    assert event["data"]["address"] == address


def test_a_ping_is_tried_once(hook, carol, receiver):
    receiver.plan = [says(500)]
    registry.ping(carol, hook)
    delivery.deliver()
    assert (only(hook).state, only(hook).next_at) == ("given_up", None)


def test_what_was_delivered_is_sent_again_by_hand_under_its_id(hook, project, carol, receiver):
    happens(project)
    delivery.deliver()
    registry.redeliver(carol, only(hook))
    assert (only(hook).state, only(hook).delivered_at) == ("waiting", None)
    delivery.deliver()

    assert receiver.ids() == [only(hook).event_id] * 2
    assert only(hook).state == "delivered"


# Workers


def test_two_workers_never_send_the_same_at_once(hook, project):
    happens(project)
    pk = only(hook).pk
    assert delivery.claim(pk).pk == pk
    assert delivery.claim(pk) is None
    assert delivery.claim_some() == []


def test_what_a_killed_worker_held_is_sent_when_its_lease_is_over(hook, project, receiver):
    happens(project)
    held = delivery.claim(only(hook).pk)  # and dies
    sweep()
    delivery.deliver()
    assert receiver.got == []
    Delivery.objects.update(leased_until=now() - timedelta(seconds=1))
    delivery.deliver()
    assert receiver.ids() == [held.event_id]


def test_who_was_slow_writes_nothing_over_what_another_one_found(hook, project):
    happens(project)
    slow = delivery.claim(only(hook).pk)
    Delivery.objects.update(leased_until=now() - timedelta(seconds=1))
    delivery.conclude(delivery.claim(slow.pk), delivery.Outcome(status=200))
    delivery.conclude(slow, delivery.Outcome(status=500, error="The server answered 500."))
    assert (only(hook).state, only(hook).status) == ("delivered", 200)
    assert Webhook.objects.get().failing_since is None


def test_a_webhook_that_has_missed_much_does_not_hold_up_another(hook, project, carol):
    for _ in range(delivery.BATCH + 3):
        happens(project)
    late = make(project, carol)
    happens(project)

    taken = delivery.claim_some()
    assert len(taken) == delivery.BATCH + 1
    assert [one.webhook for one in taken].count(late) == 1


def test_a_webhook_that_fails_is_tried_with_one_alone(hook, project):
    for _ in range(3):
        happens(project)
    Webhook.objects.update(failing_since=now())
    assert len(delivery.claim_some()) == 1


def test_a_webhook_removed_while_something_is_on_its_way_is_no_fault(
    hook, project, carol, receiver
):
    happens(project)
    taken = delivery.claim(only(hook).pk)
    registry.remove(carol, Webhook.objects.get())
    delivery.conclude(taken, delivery.Outcome(status=410, error="The server answered 410."))
    assert not Webhook.objects.exists()


def test_the_log_is_tidied(hook, project):
    happens(project)
    happens(project)
    old = Delivery.objects.first()
    Delivery.objects.filter(pk=old.pk).update(created_at=now() - timedelta(days=31))
    tidy()
    assert Delivery.objects.count() == 1
    assert not Delivery.objects.filter(pk=old.pk).exists()


# Secrets


def test_no_table_holds_the_secret_and_the_former_one_signs_for_a_day(
    hook, project, carol, receiver
):
    former = hook.secret
    renewed = registry.renew_secret(carol, hook)
    happens(project)
    delivery.deliver()

    assert renewed != former
    assert receiver.events(renewed) == receiver.events(former)
    assert former.removeprefix("whsec_") not in str(list(Webhook.objects.values()))
    Webhook.objects.update(renewed_at=now() - timedelta(days=2))
    assert registry.secrets(Webhook.objects.get()) == [renewed]


# Where nothing is sent


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hooks",
        "ftp://example.org",
        "http://example.org",
        "https://",
        "https://a:b@example.org",
        "https://a:99999",
    ],
)
def test_an_address_that_is_none_is_refused(url, settings):
    settings.WEBHOOK_PRIVATE = False
    with pytest.raises(ValidationError):
        public_urls.proper_address(url)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "2130706433",
        "10.1.2.3",
        "169.254.169.254",
        "[::1]",
        "[fe80::1]",
        "[::ffff:10.0.0.1]",
    ],
)
def test_a_private_address_is_refused_when_a_webhook_is_made(host, settings):
    settings.WEBHOOK_PRIVATE = False
    with pytest.raises(Refused, match="private address") as caught:
        registry.look_up(f"https://{host}/hooks")
    assert caught.value.field == "url"


def test_an_unknown_host_is_refused():
    with pytest.raises(Refused, match="does not exist"):
        registry.look_up("https://nowhere.invalid/")


def test_a_name_that_has_become_private_is_not_called(project, carol, receiver, settings):
    settings.WEBHOOK_PRIVATE = False
    hook = make(project, carol, f"https://localhost:{urlsplit(receiver.url).port}/")
    happens(project)
    delivery.deliver()

    assert receiver.got == []
    assert "private address" in only(hook).error
    assert only(hook).state == "failed"
