"""Models that a server answers for: registered by address, asked by a sampling job, never with a
key on a page.
"""

import pytest

from modelops import registry
from modelops.models import ModelVersion
from people.models import AuditEvent
from tests.factories import make_model, make_project

pytestmark = pytest.mark.django_db

PAGE = "/p/demo/models/serve"
GOOD = {
    "name": "champion 3 on vLLM",
    "address": "https://models.example/v1/",
    "served_as": "champion@3",
}


def test_an_admin_registers_a_server(client_for, project, carol):
    client_for(carol).post(PAGE, GOOD)

    version = ModelVersion.objects.get()
    assert (version.address, version.served_as) == ("https://models.example/v1", "champion@3")
    assert (version.external, version.folder, version.project) == (True, "", project)
    assert AuditEvent.objects.filter(actor=carol, verb="register").count() == 1


@pytest.mark.parametrize(
    "address",
    [
        "http://models.example/v1",
        "http://127.0.0.1:8001/v1",
        "https://me:secret@models.example/v1",
        "ftp://models.example",
    ],
)
def test_an_address_that_is_never_asked_is_refused(client_for, project, carol, address):
    response = client_for(carol).post(PAGE, GOOD | {"address": address})

    assert (response.status_code, list(response.context["form"].errors)) == (422, ["address"])
    assert not ModelVersion.objects.exists()


@pytest.mark.parametrize("allowed", ["127.0.0.1", "127.0.0.1:8001"])
def test_the_operator_allows_hosts_without_https(client_for, project, carol, settings, allowed):
    settings.ENGINE_HOSTS = [allowed]
    client_for(carol).post(PAGE, GOOD | {"address": "http://127.0.0.1:8001/v1"})

    assert ModelVersion.objects.get().address == "http://127.0.0.1:8001/v1"


def test_a_taken_name_is_refused_at_its_field(client_for, project, carol):
    make_model(None, GOOD["name"])
    response = client_for(carol).post(PAGE, GOOD)

    assert list(response.context["form"].errors) == ["name"]


def test_pages_say_where_it_is_and_no_key(client_for, project, carol, settings):
    settings.ENGINE_KEYS = {"models.example": "s3cret-key"}
    client_for(carol).post(PAGE, GOOD)
    version = ModelVersion.objects.get()
    pages = [
        client_for(carol).get(f"/p/demo/models/{end}").content.decode()
        for end in ("", f"{version.pk}/")
    ]

    assert "champion@3" in pages[1]
    assert "https://models.example/v1" in pages[1]
    assert all("s3cret-key" not in page for page in pages)


def test_it_answers_and_has_no_weights(project):
    served = make_model(project, "s", address="https://models.example/v1", served_as="m")
    make_model(project, "known by its answers")
    make_model(make_project(), "theirs", address="https://models.example/v1", served_as="m")

    assert list(registry.answering(project)) == [served]
    assert not registry.policies(project).exists()
