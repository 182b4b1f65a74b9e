"""Too many failed log-ins: who is locked out, what they read, and how it ends."""

from datetime import timedelta

import pytest
from axes.models import AccessAttempt
from django.test import Client
from django.utils.timezone import now
from granian.utils.proxies import wrap_wsgi_with_proxy_headers

from config import settings as config
from people import login_lockout
from people.models import AuditEvent, User
from tests.factories import PASSWORD, make_person

pytestmark = pytest.mark.django_db
LIMIT = config.LOGIN_FAILURES


def try_log_in(password="guess", email="ann@example.org", address="192.0.2.1", **headers):
    return Client(REMOTE_ADDR=address, headers=headers).post(
        "/login/", {"username": email, "password": password}
    )


def fail(times=LIMIT, **how):
    for _time in range(times):
        response = try_log_in(**how)
    return response


@pytest.fixture
def ann():
    return make_person(name="ann")


def test_a_few_failures_lock_nobody_out(ann):
    fail(LIMIT - 1)

    assert try_log_in(PASSWORD).status_code == 302


def test_too_many_failures_lock_out_and_say_for_how_long(ann):
    response = fail()

    assert response.status_code == 429
    assert "Too many failed log-ins. Try again in 15 minutes" in response.content.decode()
    assert try_log_in(PASSWORD).status_code == 429


def test_an_unknown_email_gets_the_same_answer(ann):
    known, unknown = fail(), fail(email="nobody@example.org")

    assert known.status_code == unknown.status_code
    assert "Try again in 15 minutes" in unknown.content.decode()


def test_upper_and_lower_case_are_counted_together(ann):
    fail(LIMIT - 1, email="Ann@Example.org")
    fail(1, email=" ANN@example.org")

    assert try_log_in(PASSWORD).status_code == 429


def test_another_browser_is_no_way_around(ann):
    for number in range(LIMIT):
        fail(1, **{"User-Agent": f"browser {number}"})

    assert try_log_in(PASSWORD).status_code == 429


def test_nobody_is_locked_out_from_elsewhere(ann):
    fail(address="198.51.100.7")

    assert try_log_in(PASSWORD).status_code == 302


def test_others_at_the_same_address_are_not_locked_out(ann):
    make_person(name="ben")
    fail()

    assert try_log_in(PASSWORD, email="ben@example.org").status_code == 302


def test_a_success_forgets_the_failures(ann):
    fail(LIMIT - 1)
    try_log_in(PASSWORD)
    fail(LIMIT - 1)

    assert try_log_in(PASSWORD).status_code == 302


def test_a_lock_ends_by_itself_and_trying_does_not_prolong_it(ann):
    fail(LIMIT + 3)
    AccessAttempt.objects.update(attempt_time=now() - timedelta(minutes=14, seconds=30))
    assert "Try again in 1 minute," in try_log_in(PASSWORD).content.decode()

    AccessAttempt.objects.update(attempt_time=now() - timedelta(minutes=16))
    assert try_log_in(PASSWORD).status_code == 302


def test_an_administrator_lifts_a_lock_on_the_account_s_page(client_for, ann):
    fail()
    root = client_for(make_person(is_staff=True))
    assert (
        "Too many failed log-ins from 192.0.2.1"
        in root.get(f"/accounts/{ann.pk}/").content.decode()
    )

    root.post(f"/accounts/{ann.pk}/unlock")
    assert try_log_in(PASSWORD).status_code == 302
    assert "Too many failed" not in root.get(f"/accounts/{ann.pk}/").content.decode()


def test_a_lock_and_its_end_are_remembered(ann):
    fail(LIMIT + 3)
    root = make_person(is_staff=True)
    login_lockout.lift(root, ann)
    login_lockout.lift(root, ann)

    events = AuditEvent.objects.exclude(verb="fail to log in").order_by("pk")
    assert list(events.values_list("verb", "actor", "thing")) == [
        ("lock log-in", None, f"user {ann.pk}"),
        ("lift log-in lock", root.pk, f"user {ann.pk}"),
    ]


def test_no_password_is_kept_of_a_failure(ann):
    fail(1, password="my other password")

    assert "my other password" not in str(AccessAttempt.objects.values().get())


@pytest.mark.parametrize("address", ["", "unix:", "192.0.2.1:4711"])
def test_a_server_that_names_no_address_still_counts(ann, address):
    assert fail(address=address).status_code == 429


def test_the_back_office_has_no_door_of_its_own(client):
    assert client.get("/back-office/", follow=True).redirect_chain[-1][0].startswith("/login/")


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("127.0.0.1", "192.0.2.9", "192.0.2.9"),
        (
            "127.0.0.1",
            "6.6.6.6, 192.0.2.9",
            "192.0.2.9",
        ),  # a client can write only what stands before
        ("203.0.113.5", "192.0.2.9", "203.0.113.5"),  # no proxy of ours
    ],
)
def test_behind_a_proxy_the_address_is_the_client_s(peer, forwarded, client):
    seen = []
    app = wrap_wsgi_with_proxy_headers(
        lambda environ, _start: seen.append(environ), config.TRUSTED_PROXIES
    )
    app({"REMOTE_ADDR": peer, "HTTP_X_FORWARDED_FOR": forwarded}, None)

    assert seen[0]["REMOTE_ADDR"] == client


def test_throttling_costs_a_page_no_query(client_for, ann, django_assert_num_queries):
    browser = client_for(ann)

    with django_assert_num_queries(3):  # the session, the person, their projects
        browser.get("/")


def test_the_state_of_a_locked_account_is_not_changed(ann):
    fail()

    assert User.objects.get(pk=ann.pk).state == User.State.ACTIVE


def test_each_failure_is_an_event_until_the_lock(ann):
    fail(LIMIT + 3, address="192.0.2.44")
    events = AuditEvent.objects.filter(verb="fail to log in")

    assert events.count() == LIMIT
    assert set(events.values_list("actor", "thing")) == {(None, f"user {ann.pk}")}
    assert events.first().data == {"address": "192.0.2.44"}


def test_a_failure_without_an_account_is_no_event(db):
    fail(1, email="secret-typed-into-the-wrong-field")

    assert not AuditEvent.objects.exists()


# One password, tried on many accounts


def spray(count, **how):
    for number in range(count):
        response = try_log_in(email=f"victim{number}@example.org", **how)
    return response


@pytest.fixture
def few(settings):
    """Three e-mails are too many."""
    settings.LOGIN_EMAILS = 3


def test_failures_with_many_emails_lock_their_address(ann, few):
    assert spray(3).status_code == 200
    response = try_log_in(PASSWORD)

    assert response.status_code == 429
    assert "Try again in 15 minutes" in response.content.decode()
    assert try_log_in(PASSWORD, address="198.51.100.7").status_code == 302


def test_the_lock_of_an_address_is_one_event(ann, few):
    spray(6, address="192.0.2.44")
    event = AuditEvent.objects.get(verb="lock address")

    assert (event.actor, event.data) == (None, {"address": "192.0.2.44"})


def test_many_failures_with_few_emails_lock_no_address(ann, few):
    for email in ("ben@example.org", "cleo@example.org"):
        fail(LIMIT, email=email)

    assert try_log_in(PASSWORD).status_code == 302


def test_who_logs_in_after_a_failure_does_not_count(ann, few):
    for name in ("ben", "cleo", "dora"):
        person = make_person(name=name)
        fail(1, email=person.email)
        assert try_log_in(PASSWORD, email=person.email).status_code == 302

    assert try_log_in(PASSWORD).status_code == 302


def test_the_lock_of_an_address_ends_by_itself(ann, few):
    spray(4)
    AccessAttempt.objects.update(attempt_time=now() - timedelta(minutes=14, seconds=30))
    assert "Try again in 1 minute," in try_log_in(PASSWORD).content.decode()

    AccessAttempt.objects.update(attempt_time=now() - timedelta(minutes=16))
    assert try_log_in(PASSWORD).status_code == 302


def test_a_server_that_names_no_address_locks_nobody_else_out(ann, few):
    spray(5, address="")

    assert try_log_in(PASSWORD, address="").status_code == 302
