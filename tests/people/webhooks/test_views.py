"""The pages of webhooks: one is made, looked after and removed by hand, and its secret is shown
once.
"""

import re
from uuid import uuid4

import pytest

from people.models import Delivery, Webhook
from people.webhooks import delivery as deliveries
from people.webhooks import registry
from tests.factories import make_project
from tests.pages import one_line
from tests.people.webhooks.receiver import Receiver, says

pytestmark = pytest.mark.django_db
LIST = "/p/demo/webhooks/"


@pytest.fixture(autouse=True)
def private(settings):
    settings.WEBHOOK_PRIVATE = True


@pytest.fixture
def browser(client_for, carol):
    return client_for(carol)


@pytest.fixture
def hook(project, carol):
    return registry.make(carol, project, "http://127.0.0.1:9/", ["job.finished"])[0]


def page(browser, hook, query="", **headers) -> str:
    return browser.get(f"{LIST}{hook.pk}/{query}", headers=headers).content.decode()


def secret_in(html: str) -> str:
    found = re.search(r"whsec_[\w+/=]+", html)
    return found.group() if found else ""


def test_a_project_without_webhooks_says_what_one_is_for(browser, project):
    html = browser.get(LIST).content.decode()
    assert "This project has no webhook" in html
    assert "webhooks/" in browser.get("/p/demo/settings/").content.decode()


def test_a_webhook_is_made_and_its_secret_shown_once(browser, project):
    form = {
        "url": "http://127.0.0.1:9/",
        "events": ["job.finished", "ranking.submitted"],
        "key": str(uuid4()),
    }
    first, again = (browser.post(LIST, form).content.decode() for _ in "12")

    hook = Webhook.objects.get()
    assert secret_in(first) == registry.secrets(hook)[0]
    assert secret_in(again) == ""
    assert secret_in(page(browser, hook)) == ""
    assert hook.events == ["ranking.submitted", "job.finished"]
    assert hook.url in browser.get(LIST).content.decode()


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"url": "http://example.org"}, "url"),
        ({"url": "https://localhost"}, "url"),
        ({"events": []}, "events"),
    ],
)
def test_what_is_wrong_is_said_at_its_field(browser, project, settings, wrong, field):
    settings.WEBHOOK_PRIVATE = False
    answer = browser.post(LIST, {"url": "https://10.0.0.1/", "events": ["job.finished"]} | wrong)
    assert answer.status_code == 422
    assert answer.context["form"].errors[field]
    assert not Webhook.objects.exists()


def test_a_webhook_is_changed(browser, hook, settings):
    form = {"url": "http://127.0.0.1:10/", "events": ["task.complete"]}
    assert (
        "The webhook was saved"
        in browser.post(f"{LIST}{hook.pk}/", form, follow=True).content.decode()
    )
    settings.WEBHOOK_PRIVATE = False
    refused = browser.post(f"{LIST}{hook.pk}/", form | {"url": "https://192.168.0.1/"})
    assert (refused.status_code, list(refused.context["form"].errors)) == (422, ["url"])
    hook.refresh_from_db()
    assert (hook.url, hook.events) == (form["url"], form["events"])


def test_a_test_is_seen_on_its_way_and_when_it_has_arrived(browser, project, carol):
    with Receiver() as receiver:
        receiver.plan = [says(200, b"<b>thanks</b>")]
        hook, _secret = registry.make(carol, project, receiver.url, ["job.finished"])
        waiting = browser.post(f"{LIST}{hook.pk}/ping", follow=True).content.decode()
        deliveries.deliver()

    assert 'hx-trigger="every 2s"' in waiting
    arrived = page(browser, hook, **{"HX-Request": "true"})
    assert one_line(arrived).startswith('<section id="deliveries">')
    assert "&lt;b&gt;thanks&lt;/b&gt;" in arrived
    assert f"webhooks/{hook.pk}</small>" in arrived


def test_a_delivery_is_sent_again_by_hand(browser, hook, carol, project):
    delivery = registry.ping(carol, hook)
    Delivery.objects.update(state="given_up", next_at=None)
    assert "given up" in page(browser, hook, "?state=given_up")
    assert "No delivery is in this state" in page(browser, hook, "?state=failed")
    browser.post(f"{LIST}deliveries/{delivery.pk}/again")
    delivery.refresh_from_db()
    assert delivery.state == "waiting"


def test_of_a_webhook_that_is_off_nothing_is_sent_again(browser, hook, carol, project):
    registry.emit(project, "job.finished", "jobs/1", job=1)
    browser.post(f"{LIST}{hook.pk}/switch", {"to": "off"})
    told = browser.post(
        f"{LIST}deliveries/{Delivery.objects.get().pk}/again", follow=True
    ).content.decode()
    assert "Switch it on first" in told
    browser.post(f"{LIST}{hook.pk}/switch", {"to": "on"})
    hook.refresh_from_db()
    assert hook.active


def test_who_sends_the_form_twice_renews_the_secret_once(browser, hook):
    form = {
        "key": re.search(r'renew".*?name="key" value="([^"]+)"', page(browser, hook), re.S).group(1)
    }
    first, again = (browser.post(f"{LIST}{hook.pk}/renew", form).content.decode() for _ in "12")
    hook.refresh_from_db()
    assert secret_in(first) == registry.secrets(hook)[0]
    assert secret_in(again) == ""


@pytest.mark.parametrize(("state", "said"), [("failing", "five days"), ("gone", "410")])
def test_the_page_says_why_a_webhook_was_switched_off(browser, hook, state, said):
    Webhook.objects.update(state=state)
    assert said in page(browser, hook)


def test_a_removed_webhook_is_gone_with_its_log(browser, hook, carol):
    registry.ping(carol, hook)
    assert "was removed" in browser.post(f"{LIST}{hook.pk}/remove", follow=True).content.decode()
    assert not Delivery.objects.exists()


def test_another_projects_delivery_is_not_found(browser, hook, carol):
    other = make_project(slug="other")
    theirs = registry.ping(
        carol, registry.make(carol, other, "https://example.org", ["job.finished"])[0]
    )
    assert browser.post(f"{LIST}deliveries/{theirs.pk}/again").status_code == 404


def test_the_pages_take_a_constant_number_of_queries(
    browser, hook, project, carol, django_assert_num_queries
):
    registry.ping(carol, hook)
    for _ in range(2):
        with django_assert_num_queries(4):
            browser.get(LIST)
        with django_assert_num_queries(6):
            browser.get(f"{LIST}{hook.pk}/")
        for _ in range(5):
            registry.make(carol, project, "https://example.org", ["job.finished"])
            registry.ping(carol, hook)
