"""A fault of a proxy, or of a setting about it, is answered with the setting's name."""

import logging

import pytest
from django.conf import settings as configured
from django.test import Client

from people.proxy_faults import OnceAMinute

pytestmark = pytest.mark.django_db
PATHS = pytest.mark.parametrize("path", ["/login/", "/api/v1/projects/"])


@pytest.fixture
def production(settings):
    """Redirects to https, and a proxy that says which requests came by it."""
    settings.SECURE_SSL_REDIRECT = True
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    settings.SECURE_REDIRECT_EXEMPT = [r"^(healthz|livez|readyz)$"]


def words(response):
    if response["Content-Type"] == "application/problem+json":
        return response.json()["detail"]
    return response.content.decode()


@PATHS
def test_a_host_that_is_not_listed_is_named_with_its_setting(path):
    response = Client().get(path, headers={"Host": "podium.example"})

    assert response.status_code == 400
    assert "“podium.example”" in words(response)
    assert "PODIUM_ALLOWED_HOSTS" in words(response)


def test_what_a_client_sent_is_escaped_and_cut():
    host = "<script>alert(1)</script>" + "x" * 5000
    text = words(Client().get("/login/", headers={"Host": host}))

    assert "&lt;script&gt;alert(1)" in text
    assert "<script>alert" not in text
    assert "x" * 200 not in text


def test_an_origin_that_is_not_listed_is_named_with_its_setting():
    client = Client(enforce_csrf_checks=True)
    response = client.post("/login/", headers={"Origin": "https://podium.example"})

    assert response.status_code == 403
    assert "“https://podium.example”" in words(response)
    assert "PODIUM_TRUSTED_ORIGINS" in words(response)


def test_so_is_the_origin_of_a_page_that_only_its_address_tells(production):
    client = Client(enforce_csrf_checks=True)
    headers = {"Referer": "https://podium.example/login/?next=x", "X-Forwarded-Proto": "https"}
    response = client.post("/login/", headers=headers)

    assert response.status_code == 403
    assert "“https://podium.example”" in words(response)


def test_the_api_says_it_to_a_session_too(alice):
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)
    response = client.post(
        "/api/v1/projects/demo/prompts/",
        {},
        content_type="application/json",
        headers={"Origin": "https://podium.example"},
    )

    assert response.status_code == 403
    assert "“https://podium.example”" in words(response)
    assert "PODIUM_TRUSTED_ORIGINS" in words(response)


def test_a_form_without_its_token_says_what_to_do():
    response = Client(enforce_csrf_checks=True).post("/login/")

    assert response.status_code == 403
    assert "Load the page again" in words(response).replace("\n", " ")
    assert "PODIUM_" not in words(response)


@PATHS
@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-For": "192.0.2.7", "Host": "testserver"},
        {"Origin": "https://podium.example"},
    ],
)
def test_a_proxy_that_does_not_say_the_scheme_is_no_endless_redirect(production, path, headers):
    response = Client().get(path, headers=headers)

    assert response.status_code == 400
    assert "X-Forwarded-Proto" in words(response)
    assert f"“{headers.get('Origin') or headers['Host']}”" in words(response)


def test_the_log_says_it_once_a_minute(production, caplog):
    client = Client()
    for _ in range(3):
        client.get("/login/", headers={"X-Forwarded-For": "192.0.2.7"})

    [record] = caplog.records
    assert "X-Forwarded-Proto" in record.getMessage()


@pytest.mark.parametrize(
    "headers", [{}, {"X-Forwarded-For": "192.0.2.7", "X-Forwarded-Proto": "http"}]
)
def test_a_plain_request_is_still_redirected(production, headers):
    response = Client().get("/login/", headers=headers)

    assert response.status_code == 301
    assert response["Location"] == "https://testserver/login/"


def test_who_asks_whether_podium_lives_needs_no_scheme(production):
    assert Client().get("/livez", headers={"X-Forwarded-For": "192.0.2.7"}).status_code == 200


@pytest.mark.parametrize(
    ("name", "message", "passed"),
    [
        ("django.security.DisallowedHost", "Invalid HTTP_HOST header: 'x'", 1),
        ("people.proxy_faults", "The proxy does not say", 1),
        (
            "django.security.csrf",
            "Forbidden (Origin checking failed - x does not match any trusted origins.): /",
            1,
        ),
        ("django.security.csrf", "Forbidden (CSRF token missing.): /", 3),
    ],
)
def test_each_kind_of_fault_is_logged_once_a_minute(name, message, passed):
    assert configured.LOGGING["loggers"][name]["filters"] == ["once_a_minute"]
    records = [logging.LogRecord(name, logging.WARNING, "", 0, message, (), None) for _ in range(3)]
    # logging that is configured twice filters each record twice
    kept = [all(OnceAMinute().filter(record) for _twice in range(2)) for record in records]

    assert kept.count(True) == passed
