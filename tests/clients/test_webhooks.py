"""The client's webhooks against the live server, with a receiver of their own."""

import pytest
from podium_client import Podium

from people import tokens
from people.models import Webhook
from people.webhooks import delivery, registry
from tests.people.webhooks.receiver import Receiver

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def hooks(live_server, carol, project, settings):
    settings.WEBHOOK_PRIVATE = True
    with Podium(live_server.url, tokens.make(carol, "script", ["admin"], 1)[1]) as podium:
        yield podium.project("demo").webhooks


def test_a_script_makes_a_webhook_tests_it_and_sends_again(hooks):
    with Receiver() as receiver:
        made = hooks.make(receiver.url, ["job.finished"])
        hooks.test(made["id"])
        delivery.deliver()
        [delivered] = hooks.deliveries(made["id"], state="delivered")
        hooks.redeliver(delivered["id"])
        delivery.deliver()

        assert receiver.events(made["secret"])[0] == delivered["payload"]
        assert receiver.ids() == [delivered["event_id"]] * 2


def test_a_script_looks_after_its_webhooks(hooks):
    made = hooks.make("http://127.0.0.1:9/")
    assert made["events"] == Webhook.Event.values
    assert hooks.change(made["id"], active=False, events=["task.complete"])["state"] == "off"
    assert hooks.renew_secret(made["id"]) == registry.secrets(Webhook.objects.get())[0]
    assert [one["id"] for one in hooks()] == [hooks.read(made["id"])["id"]]
    hooks.remove(made["id"])
    assert list(hooks()) == []
