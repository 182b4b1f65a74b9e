"""The site of deploy/nginx in a real nginx, in front of the pages."""

from http.client import HTTPSConnection

import httpx
import pytest

from people.models import AuditEvent
from tests.deploy.nginx import FOLDER, UNVERIFIED, serving, site_before
from tests.factories import PASSWORD, make_person, make_project

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def site(tmp_path, live_server, settings):
    """The address of the site, behind nginx with a certificate of its own."""
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    settings.ALLOWED_HOSTS = ["127.0.0.1"]
    with serving(tmp_path, site_before(live_server.url.removeprefix("http://"))) as address:
        yield address


@pytest.fixture
def browser(site):
    with httpx.Client(base_url=site, verify=UNVERIFIED, headers={"Origin": site}) as client:
        yield client


def log_in(browser, password, **headers):
    browser.get("/login/")
    form = {"username": "ann@example.org", "password": password}
    form["csrfmiddlewaretoken"] = browser.cookies["csrftoken"]
    return browser.post("/login/", data=form, headers=headers)


def test_a_form_that_came_by_tls_is_accepted(browser):
    make_person(make_project(), name="ann")

    assert log_in(browser, PASSWORD).status_code == 302


def test_the_address_of_a_client_is_not_what_it_says(browser):
    make_person(make_project(), name="ann")

    log_in(browser, "wrong", **{"X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "http"})
    assert AuditEvent.objects.get(verb="fail to log in").data["address"] == "127.0.0.1"


def test_a_body_over_the_limit_is_refused_unread(site):
    connection = HTTPSConnection(site.removeprefix("https://"), context=UNVERIFIED)
    connection.putrequest("POST", "/login/")
    connection.putheader("Content-Length", f"{67 * 2**20}")
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()


def test_a_site_below_a_path_has_the_lines_of_a_whole_one():
    whole, below = (
        (FOLDER / name).read_text(encoding="utf-8") for name in ("podium.conf", "podium-path.conf")
    )

    directives = {line.strip() for line in below.splitlines() if line.strip().startswith("proxy_")}
    assert directives == {
        line.strip() for line in whole.splitlines() if line.strip().startswith("proxy_")
    }
