"""How large a request may be: most small, and where files are uploaded as large as an upload, for
who is logged in.
"""

import pytest
from django.test import Client, RequestFactory
from django.urls import reverse

from people import request_limits, tokens

pytestmark = pytest.mark.django_db
HUGE = "1500000000"
UPLOADS = [
    "/p/demo/prompts/upload",
    "/api/v1/projects/demo/imports",
    "/api/v1/projects/demo/prompts",
]


def announce(client, path, length=HUGE, **headers):
    """A request that says how long its body is, and sends nothing of it."""
    return client.generic(
        "POST",
        path,
        CONTENT_LENGTH=str(length),
        content_type="multipart/form-data; boundary=x",
        **headers,
    )


def bearer(person):
    return {
        "headers": {"Authorization": f"Bearer {tokens.make(person, 'script', ['admin'], 7)[1]}"}
    }


@pytest.mark.parametrize("path", ["/login/", "/", "/nowhere", "/p/demo/rank/", "/back-office/"])
def test_a_large_body_is_refused_by_a_page(path):
    response = announce(Client(enforce_csrf_checks=True), path)

    assert response.status_code == 413
    assert "larger than 4.0\xa0MB. Send it in parts" in response.content.decode()


def test_a_large_body_is_refused_to_a_script_as_a_problem():
    response = announce(Client(), "/api/v1/projects/demo/rankings")

    assert (response.status_code, response["Content-Type"]) == (413, "application/problem+json")
    assert response.json()["title"] == "Request Entity Too Large"


def test_what_is_small_goes_on():
    assert announce(Client(), "/login/", request_limits.SMALL).status_code == 200


@pytest.mark.parametrize("path", UPLOADS)
def test_who_is_not_logged_in_uploads_nothing(path):
    assert announce(Client(), path, 10 * 2**20).status_code == 413


@pytest.mark.parametrize("path", UPLOADS)
def test_an_upload_has_its_own_limit(client_for, carol, settings, path):
    settings.UPLOAD_LIMIT = 32 * 2**20

    assert announce(client_for(carol), path, 32 * 2**20).status_code != 413
    assert announce(client_for(carol), path, 34 * 2**20).status_code == 413
    assert announce(Client(), path, 32 * 2**20, **bearer(carol)).status_code != 413
    assert (
        announce(
            Client(), path, 32 * 2**20, headers={"Authorization": "Bearer podium_made_up"}
        ).status_code
        == 413
    )


def test_a_template_s_table_may_be_a_large_file(client_for, carol, project):
    from labeling.imports import prompt_templates

    template = prompt_templates.create(carol, project, name="t", text="Say {word}")

    assert (
        announce(
            client_for(carol), reverse("template", args=["demo", template.pk]), 10 * 2**20
        ).status_code
        != 413
    )


def test_the_server_is_told_the_same_before_it_reads(client_for, carol, settings):
    """By the head alone: the session and the token are looked up, and a paused person is nobody."""
    path, large = UPLOADS[0], settings.UPLOAD_LIMIT + request_limits.FORM_BYTES
    cookie = f"sessionid={client_for(carol).cookies['sessionid'].value}"

    def largest(path, **headers):
        return request_limits.largest(RequestFactory().generic("POST", path, **headers).environ)

    assert largest(path) == largest(path, HTTP_COOKIE="sessionid=invented") == request_limits.SMALL
    assert largest("/login/", HTTP_COOKIE=cookie) == request_limits.SMALL
    assert largest(path, HTTP_COOKIE=cookie) == largest(path, **bearer(carol)) == large

    carol.state = "paused"
    carol.save()
    assert largest(path, HTTP_COOKIE=cookie) == request_limits.SMALL


@pytest.mark.parametrize(
    ("status", "says"), [(408, "took too long to arrive"), (413, "Send it in parts")]
)
def test_what_the_server_refused_is_put_in_words(status, says):
    response = Client().generic("POST", "/login/", **{request_limits.REFUSED: status})

    assert response.status_code == status
    assert says in response.content.decode()
