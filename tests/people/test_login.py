"""Who may come in."""

import pytest

from people.models import User
from tests.factories import PASSWORD, make_person
from tests.pages import one_line

pytestmark = pytest.mark.django_db


def log_in(client, email, password=PASSWORD):
    return client.post("/login/", {"username": email, "password": password})


def test_case_of_the_email_does_not_matter(client):
    make_person(name="ann")

    assert log_in(client, "  Ann@Example.ORG ").status_code == 302


def test_a_wrong_password_says_what_is_wrong(client):
    make_person(name="ann")

    assert "no active account" in log_in(client, "ann@example.org", "guess").content.decode()


def test_a_paused_account_may_not_log_in(client):
    make_person(name="ann", state=User.State.PAUSED)

    assert log_in(client, "ann@example.org").status_code == 200


def test_who_was_invited_becomes_active_by_logging_in(client):
    ann = make_person(name="ann", state=User.State.INVITED)
    log_in(client, ann.email)

    ann.refresh_from_db()
    assert ann.state == User.State.ACTIVE


def test_a_page_asks_a_visitor_to_log_in_and_then_goes_on(client):
    response = client.get("/account/")

    assert response.url == "/login/?next=/account/"


def test_logging_out_ends_the_session(client):
    client.force_login(make_person())
    client.post("/logout/")

    assert client.get("/").status_code == 302


def test_a_changed_password_logs_other_browsers_out(client_for):
    ann = make_person()
    here, elsewhere = client_for(ann), client_for(ann)
    new = {
        "old_password": PASSWORD,
        "new_password1": "a river in spring",
        "new_password2": "a river in spring",
    }

    assert here.post("/account/password/", new).status_code == 302
    assert here.get("/account/").status_code == 200
    assert elsewhere.get("/account/").status_code == 302


SETTINGS = {
    "name": "Ann",
    "zone": "Europe/Berlin",
    "language": "en",
    "theme": "dark",
    "sensitive": "on",
}


def test_ones_own_settings_are_saved(client_for):
    ann = make_person()
    client_for(ann).post("/account/", SETTINGS)

    ann.refresh_from_db()
    assert (ann.name, ann.zone, ann.theme) == ("Ann", "Europe/Berlin", "dark")
    assert (ann.sensitive, ann.shortcuts) == (True, False)


def test_sensitive_content_is_for_who_asked_for_it():
    assert not make_person().sensitive


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_theme_holds_on_every_page(client_for, theme):
    browser = client_for(make_person(theme=theme))

    assert f'data-theme="{theme}"' in browser.get("/").content.decode()
    assert f'data-theme="{theme}"' in browser.get("/nowhere").content.decode()


def test_without_a_theme_the_device_decides(client_for):
    assert "data-theme" not in client_for(make_person()).get("/").content.decode()


def test_pages_speak_the_language_that_one_chose(client_for, settings):
    settings.LANGUAGES = [("en", "English"), ("de", "Deutsch")]
    browser = client_for(make_person(language="de"))
    page = browser.post("/account/", SETTINGS | {"zone": ""}, headers={"Accept-Language": "en"})

    assert '<html lang="de">' in one_line(page)
    assert page["Content-Language"] == "de"
    assert "Dieses Feld ist zwingend erforderlich." in page.content.decode()


def test_a_visitor_gets_the_language_of_their_browser(client, settings):
    settings.LANGUAGES = [("en", "English"), ("de", "Deutsch")]

    page = client.get("/login/", headers={"Accept-Language": "de"})
    assert '<html lang="de">' in one_line(page)


def test_times_are_shown_in_ones_own_zone(client_for):
    root = make_person(is_staff=True, zone="Asia/Tokyo")
    User.objects.filter(pk=root.pk).update(last_login="2026-01-01T20:00Z")

    browser = client_for(make_person(is_staff=True, zone="Asia/Tokyo"))
    assert "2 Jan 2026, 05:00" in browser.get("/accounts/").content.decode()


def test_a_wrong_setting_is_named_and_nothing_is_saved(client_for):
    ann = make_person(name="ann")
    response = client_for(ann).post("/account/", {"name": "Other", "zone": "Mars/Olympus"})

    ann.refresh_from_db()
    assert (response.status_code, ann.name) == (422, "Ann")
