"""Model versions through the API: their lineage, registered and promoted."""

import pytest

from modelops.models import Alias, Metric, ModelVersion
from people.models import AuditEvent
from tests.factories import make_job, make_model, make_person
from tests.labeling.api.hands import code_of, fields_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def folder(settings):
    found = settings.VAR / "models" / "base"
    found.mkdir(parents=True)
    (found / "model.safetensors").write_bytes(b"weights")
    return found


def test_a_version_tells_all_that_it_came_from(admin, project):
    base = make_model(name="base", folder="models/base", sha256="0" * 64)
    judge = make_model(project, name="judge", folder="models/judge", sha256="0" * 64)
    job = make_job(project, "ppo", reward_model=judge, model_version=base)
    tuned = make_model(
        project, name="tuned", folder="models/tuned", sha256="1" * 64, parent=base, job=job
    )
    Metric.objects.create(job=job, name="reward", value=1.5)
    told = admin.get(f"models/{tuned.pk}").json()

    assert (told["parent"], told["reward_model"], told["lineage"]) == (
        base.pk,
        judge.pk,
        [tuned.pk, base.pk],
    )
    assert [one["name"] for one in told["metrics"]] == ["reward"]
    assert admin.get(f"models/{base.pk}").json()["offspring"] == [tuned.pk]
    assert admin.get(f"models/{base.pk}").json()["shared"]


def test_a_list_costs_the_same_however_long(admin, project, django_assert_max_num_queries):
    for _ in range(20):
        make_model(project)
    with django_assert_max_num_queries(6):
        assert len(admin.get("models", kind="policy").json()["results"]) == 20


def test_promoting_moves_the_name_and_promoting_the_one_before_takes_it_back(admin, project):
    one, two = (make_model(project, folder=f"models/{n}", sha256="0" * 64) for n in "ab")
    for version in (one, two, one):
        assert admin.post(f"models/{version.pk}/promote").json()["model_version"] == version.pk

    assert admin.get("aliases").json()["results"][0]["model_version"] == one.pk
    assert admin.get(f"models/{one.pk}").json()["aliases"] == ["champion"]
    assert AuditEvent.objects.filter(verb="promote").count() == 3


def test_what_has_no_weights_here_is_not_promoted(admin, project):
    external = make_model(project)

    assert admin.post(f"models/{external.pk}/promote").status_code == 404
    assert not Alias.objects.exists()


def test_a_folder_is_registered_once(admin, folder):
    said = {"name": "base", "folder": str(folder)}
    response = admin.post("models/register", said)
    made = ModelVersion.objects.get()
    again = admin.post("models/register", said)

    assert (response.status_code, response["Location"]) == (
        201,
        f"/api/v1/projects/demo/models/{made.pk}",
    )
    assert (response.json()["name"], response.json()["sha256"]) == ("base", made.sha256)
    assert (again.status_code, fields_of(again)) == (422, {"name"})


def test_a_folder_elsewhere_is_refused(admin, tmp_path):
    refused = admin.post("models/register", {"name": "passwords", "folder": "/etc"})

    assert (refused.status_code, code_of(refused)) == (422, "not-registered")
    assert not ModelVersion.objects.exists()


def test_a_served_model_is_registered_at_its_address(admin):
    said = {"name": "big", "address": "https://models.example/v1", "served_as": "big-7b"}
    told = admin.post("models/serve", said).json()

    assert (told["address"], told["served_as"], told["external"]) == (
        "https://models.example/v1",
        "big-7b",
        True,
    )


def test_models_are_for_admins(labeler, hands_of, project):
    for hands in (labeler, hands_of(make_person(project, "researcher"))):
        assert hands.get("models").status_code == 403
        assert hands.post("models/register", {}).status_code == 403
