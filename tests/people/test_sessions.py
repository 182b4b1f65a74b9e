"""Where one is logged in: listed on the account's page, and ended there."""

from datetime import timedelta

import pytest
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils.timezone import now

from people import sessions
from people.models import AuditEvent, LoginSession
from tests.factories import PASSWORD, make_person
from tests.migrations import migrated_back

pytestmark = pytest.mark.django_db

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:139.0) Gecko/20100101 Firefox/139.0"
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1"
)
EDGE = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/137.0.0.0 Safari/537.36 Edg/137.0.0.0"
)
CHROME = (
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/137.0.0.0 "
    "Mobile Safari/537.36"
)


@pytest.fixture
def ann():
    return make_person(name="ann")


def browser(person, agent=FIREFOX, address="192.0.2.1") -> Client:
    """A browser in which this person has logged in."""
    client = Client(REMOTE_ADDR=address, headers={"User-Agent": agent})
    answer = client.post("/login/", {"username": person.email, "password": PASSWORD})
    assert answer.status_code == 302
    return client


def session_of(client) -> LoginSession:
    return LoginSession.objects.get(session=client.session.session_key)


def is_logged_in(client) -> bool:
    return client.get("/account/").status_code == 200


def test_the_account_lists_devices_and_addresses(ann):
    here, phone = browser(ann), browser(ann, IPHONE, "2001:db8::7")
    browser(make_person(name="ben"), EDGE, "203.0.113.5")
    page = here.get("/account/").content.decode()

    for text in ("Firefox on Linux", "192.0.2.1", "Safari on iPhone", "2001:db8::7"):
        assert text in page
    assert page.count("this browser") == 1
    assert "Edge" not in page
    assert "203.0.113.5" not in page
    assert f"/account/sessions/{session_of(phone).pk}/end" in page
    assert f"/account/sessions/{session_of(here).pk}/end" not in page
    for client in (here, phone):
        assert client.session.session_key not in page


@pytest.mark.parametrize(
    ("agent", "device"),
    [
        (FIREFOX, "Firefox on Linux"),
        (IPHONE, "Safari on iPhone"),
        (EDGE, "Edge on Windows"),
        (CHROME, "Chrome on Android"),
        ("curl/8.5.0", "curl/8.5.0"),
        ("", "unknown device"),
    ],
)
def test_a_device_is_named_by_its_agent(agent, device):
    assert str(LoginSession(agent=agent)) == device


def test_one_session_is_ended_by_its_owner(ann):
    here, phone, laptop = browser(ann), browser(ann, IPHONE), browser(ann, EDGE)
    answer = here.post(f"/account/sessions/{session_of(phone).pk}/end", follow=True)

    assert "Safari on iPhone was logged out." in answer.content.decode()
    assert [is_logged_in(client) for client in (here, phone, laptop)] == [True, False, True]
    event = AuditEvent.objects.get(verb="end sessions")
    assert (event.actor, event.data) == (ann, {"count": 1})


def test_all_other_sessions_are_ended_at_once(ann):
    here, others = browser(ann), [browser(ann, IPHONE), browser(ann, EDGE)]
    ben = browser(make_person(name="ben"))
    answer = here.post("/account/sessions/end-others", follow=True)

    assert "2 other browsers were logged out." in answer.content.decode()
    assert is_logged_in(here)
    assert is_logged_in(ben)
    assert not any(map(is_logged_in, others))
    assert AuditEvent.objects.get(verb="end sessions").data == {"count": 2}


def test_nobody_ends_the_session_of_another(ann):
    phone, ben = browser(ann, IPHONE), browser(make_person(name="ben"))

    assert ben.post(f"/account/sessions/{session_of(phone).pk}/end").status_code == 404
    assert ben.get(f"/account/sessions/{session_of(phone).pk}/end").status_code == 405
    assert is_logged_in(phone)
    assert Client().post("/account/sessions/end-others").url.startswith("/login/")


def test_a_session_was_seen_when_it_was_used_last(ann, django_assert_num_queries):
    phone = browser(ann, IPHONE)
    earlier = now() - timedelta(hours=5)
    LoginSession.objects.update(seen_at=earlier)
    phone.get("/", REMOTE_ADDR="198.51.100.3")
    seen = session_of(phone)

    assert seen.seen_at > earlier + timedelta(hours=4)
    assert seen.address == "198.51.100.3"
    with django_assert_num_queries(3):  # the session, the person, their projects: it writes nothing
        phone.get("/")


def test_a_session_without_a_row_is_listed_once_it_is_used(ann):
    phone = browser(ann, IPHONE)
    LoginSession.objects.all().delete()
    phone.get("/")

    assert session_of(phone).user == ann


def test_a_changed_password_leaves_the_session_that_changed_it(ann):
    here, phone = browser(ann), browser(ann, IPHONE)
    new = dict.fromkeys(("new_password1", "new_password2"), "a river in spring")
    here.post("/account/password/", {"old_password": PASSWORD} | new)
    page = here.get("/account/").content.decode()

    assert page.count("this browser") == 1
    assert not is_logged_in(phone)


def test_logging_out_ends_the_row_too(ann):
    phone = browser(ann, IPHONE)
    phone.post("/logout/")

    assert not LoginSession.objects.exists()


def test_what_has_expired_is_not_listed(ann):
    browser(ann, IPHONE)
    Session.objects.update(expire_date=now() - timedelta(seconds=1))

    assert not sessions.of(ann).exists()


def test_a_log_in_is_an_event(ann):
    browser(ann, address="192.0.2.44")
    event = AuditEvent.objects.get(verb="log in")

    assert (event.actor, event.thing, event.data) == (
        ann,
        f"user {ann.pk}",
        {"address": "192.0.2.44"},
    )


@pytest.mark.django_db(transaction=True)
def test_sessions_from_before_are_listed():
    ann = make_person(name="ann")
    phone = browser(ann, IPHONE)
    with migrated_back(("people", "0011_lead_adjudicates")):
        pass

    assert session_of(phone).user == ann
    assert is_logged_in(phone)
    assert "unknown device" in phone.get("/account/").content.decode()
