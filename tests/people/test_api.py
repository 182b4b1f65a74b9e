"""What every endpoint of the API shares: tokens and their scopes, problems, pages, ETags, requests
that count once.
"""

from datetime import timedelta

import pytest
from django.core.management import call_command
from django.test import Client
from django.utils.timezone import now

from people import accounts, tokens
from people.api.rate import Rate
from people.models import AuditEvent, Token

pytestmark = pytest.mark.django_db
ALL = list(Token.Scope.values)


def api(user, *scopes) -> Client:
    """A script of this person, with a token of these scopes."""
    return Client(
        headers={
            "Authorization": f"Bearer {tokens.make(user, 'script', list(scopes or ALL), 1)[1]}"
        }
    )


def post(client, path, body, **headers):
    return client.post(f"/api/v1/{path}", body, content_type="application/json", headers=headers)


def patch(client, path, body, **headers):
    return client.patch(f"/api/v1/{path}", body, content_type="application/json", headers=headers)


# Tokens


def test_a_token_lets_its_owner_in_and_is_kept_as_a_hash(alice):
    token, text = tokens.make(alice, "notebook", ["read"], 30)

    assert (
        Client(headers={"Authorization": f"Bearer {text}"}).get("/api/v1/me").json()["email"]
        == alice.email
    )
    assert text not in str(Token.objects.values())
    token.refresh_from_db()
    assert now() - token.last_used_at < timedelta(minutes=1)


@pytest.mark.parametrize("why", ["unknown", "expired", "revoked", "paused", "left out", "not one"])
def test_what_lets_nobody_in_is_told_so(alice, carol, why):
    token, text = tokens.make(alice, "notebook", ["read"], 30)
    if why == "expired":
        Token.objects.update(expires_at=now())
    if why == "revoked":
        tokens.revoke(alice, token)
    if why == "paused":
        accounts.pause(carol, alice)
    shown = {"unknown": "Bearer podium_nothing", "left out": "", "not one": "Bearer \xff"}.get(
        why, f"Bearer {text}"
    )

    answer = Client(headers={"Authorization": shown} if shown else {}).get("/api/v1/me")

    assert answer.status_code == 401
    assert answer["WWW-Authenticate"] == "Bearer"
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json()["title"] == "Unauthorized"


def test_a_use_is_noted_once_a_minute(alice, django_assert_num_queries):
    script = api(alice)
    script.get("/api/v1/me")
    with django_assert_num_queries(2):  # the token with its user, the account
        script.get("/api/v1/me")


def test_a_token_reaches_no_further_than_its_scopes(alice):
    answer = patch(api(alice, "read"), "me", {"name": "A."}, **{"If-Match": "*"})

    assert answer.status_code == 403
    assert "“admin”" in answer.json()["detail"]


def test_a_token_makes_none_that_reaches_further(alice):
    script = api(alice, "admin")

    made = post(script, "tokens", {"name": "small", "scopes": ["read", "launch"]})
    assert made.status_code == 201
    assert made["Location"] == f"/api/v1/tokens/{made.json()['id']}"
    assert tokens.find(made.json()["token"]).scopes == ["read", "launch"]
    refused = post(script, "tokens", {"name": "large", "scopes": ["label"]})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, "scopes")


def test_one_revokes_ones_own_tokens_and_nobody_elses(alice, bob):
    mine, text = tokens.make(alice, "mine", ["read"], 1)
    theirs, _text = tokens.make(bob, "theirs", ["read"], 1)
    script = api(alice)

    assert script.delete(f"/api/v1/tokens/{mine.pk}").status_code == 204
    assert script.delete(f"/api/v1/tokens/{theirs.pk}").status_code == 404
    assert tokens.find(text) is None
    assert AuditEvent.objects.filter(verb="revoke token").count() == 1


def test_the_log_in_of_the_pages_opens_the_api_but_no_other_site_writes_by_it(alice):
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(alice)

    assert browser.get("/api/v1/me").status_code == 200
    assert patch(browser, "me", {"name": "A."}, **{"If-Match": "*"}).status_code == 403


# Problems


def test_a_wrong_field_is_named(alice):
    answer = post(api(alice), "tokens", {"name": "", "scopes": ["read", "all"]})

    assert answer.status_code == 400
    assert answer.json()["type"] == "urn:podium:invalid"
    assert [one["field"] for one in answer.json()["errors"]] == ["name", "scopes.1"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("get", "nothing", 404),
        ("post", "nothing/at/all", 404),
        ("delete", "me", 405),
        ("get", "tokens?cursor=xx", 400),
    ],
)
def test_what_there_is_not_is_a_problem_too(alice, method, path, status):
    answer = getattr(api(alice), method)(f"/api/v1/{path}")
    assert (answer.status_code, answer["Content-Type"]) == (status, "application/problem+json")


def test_a_body_that_cant_be_read_is_the_senders_fault(alice):
    answer = api(alice).post("/api/v1/tokens", "{", content_type="application/json")
    assert (answer.status_code, answer.json()["title"]) == (400, "Bad Request")


def test_a_made_up_cursor_is_a_wrong_value(alice):
    import base64

    cursor = base64.b64encode(b"p=abc").decode()
    assert api(alice).get("/api/v1/tokens", {"cursor": cursor}).status_code == 400


def test_a_number_that_no_database_holds_is_not_found(alice):
    assert api(alice).delete(f"/api/v1/tokens/{10**30}").status_code == 404


def test_too_many_requests_are_told_when_to_come_again(alice, monkeypatch):
    monkeypatch.setattr(Rate, "THROTTLE_RATES", {"user": "2/min"})
    monkeypatch.setattr(Rate, "timer", lambda _: 6010.5)
    script = api(alice)
    answers = [script.get("/api/v1/me") for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[2]["Retry-After"] == "51"  # whole seconds, and one for luck

    monkeypatch.setattr(Rate, "timer", lambda _: 6060.0)
    assert script.get("/api/v1/me").status_code == 200


# Changes


def test_a_change_wants_the_etag_of_what_was_read(alice):
    script = api(alice)
    tag = script.get("/api/v1/me")["ETag"]

    assert patch(script, "me", {"name": "First"}).status_code == 428
    changed = patch(script, "me", {"name": "First"}, **{"If-Match": tag})
    assert (changed.status_code, changed.json()["name"]) == (200, "First")
    assert patch(script, "me", {"name": "Second"}, **{"If-Match": tag}).status_code == 412
    assert (
        patch(script, "me", {"name": "Second"}, **{"If-Match": changed["ETag"]}).status_code == 200
    )


def test_what_has_not_changed_is_not_sent_again(alice):
    script = api(alice)
    tag = script.get("/api/v1/me")["ETag"]
    answer = script.get("/api/v1/me", headers={"If-None-Match": tag})
    assert (answer.status_code, answer.content) == (304, b"")


def test_times_are_in_utc_whatever_the_owners_pages_show(alice):
    alice.zone = "Asia/Tokyo"
    alice.save()
    browser = Client()
    browser.force_login(alice)
    tokens.make(alice, "a", ["read"], 1)
    assert browser.get("/api/v1/tokens").json()["results"][0]["created_at"].endswith("Z")


# Requests that arrive twice


def test_a_request_with_a_key_counts_once(alice):
    script, key = api(alice), {"Idempotency-Key": "first"}
    one, two = (post(script, "tokens", {"name": "n", "scopes": ["read"]}, **key) for _ in range(2))

    assert two.json() == {
        name: value for name, value in one.json().items() if name != "token"
    }  # that is told once
    assert (one.status_code, two.status_code) == (201, 201)
    assert two["Idempotent-Replayed"] == "true"
    assert two["Location"] == one["Location"]
    assert "Idempotent-Replayed" not in one
    assert tokens.open_of(alice).count() == 2


def test_a_key_that_came_with_another_request_is_refused(alice):
    script, key = api(alice), {"Idempotency-Key": "first"}
    post(script, "tokens", {"name": "n", "scopes": ["read"]}, **key)
    assert post(script, "tokens", {"name": "m", "scopes": ["read"]}, **key).status_code == 422


def test_a_refused_request_leaves_its_key_free(alice, monkeypatch):
    script, key = api(alice), {"Idempotency-Key": "first"}
    monkeypatch.setattr(tokens, "MOST", 1)
    assert post(script, "tokens", {"name": "n", "scopes": ["read"]}, **key).status_code == 409
    monkeypatch.setattr(tokens, "MOST", 9)
    assert post(script, "tokens", {"name": "n", "scopes": ["read"]}, **key).status_code == 201


def test_two_people_may_use_the_same_key(alice, bob):
    for person in (alice, bob):
        answer = post(
            api(person), "tokens", {"name": "n", "scopes": ["read"]}, **{"Idempotency-Key": "first"}
        )
        assert "Idempotent-Replayed" not in answer


# Pages of a list


def test_a_list_comes_in_pages_that_lead_to_each_other(alice):
    made = [tokens.make(alice, str(number), ["read"], 1)[0].name for number in range(5)]
    script, found, at = api(alice), [], "/api/v1/tokens?limit=2"
    while at:
        page = script.get(at).json()
        found += [one["name"] for one in page["results"]]
        at = page["next"]
    assert found == ["script", *reversed(made)]


# What it says of itself


def test_the_schema_names_every_address_and_way_to_be_refused(client):
    schema = client.get("/api/v1/openapi.json").json()

    assert schema["openapi"].startswith("3.")
    posted = schema["paths"]["/api/v1/tokens"]["post"]
    assert {"201", "401", "409", "422", "429"} <= set(posted["responses"])
    assert "Idempotency-Key" in [one["name"] for one in posted["parameters"]]
    assert {"412", "428"} <= set(schema["paths"]["/api/v1/me"]["patch"]["responses"])


def test_the_schema_is_sound_and_made_without_a_warning(tmp_path):
    call_command(
        "spectacular", file=str(tmp_path / "openapi.yaml"), validate=True, fail_on_warn=True
    )
    assert "/api/v1/tokens" in (tmp_path / "openapi.yaml").read_text()
