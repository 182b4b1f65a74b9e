"""Registering and promoting model versions."""

import pytest

from modelops import registry
from modelops.models import Alias, ModelVersion
from people.models import AuditEvent
from tests.factories import make_model, make_project

pytestmark = pytest.mark.django_db


@pytest.fixture
def browser(client_for, carol):
    return client_for(carol)


def weights(project, name):
    return make_model(project, name, folder=f"models/{name}", sha256="0" * 64)


def promote(browser, version):
    return browser.post(f"/p/demo/models/{version.pk}/promote")


def test_promoting_moves_the_alias_and_keeps_where_it_was(browser, project):
    first, second = weights(project, "first"), weights(project, "second")
    promote(browser, first)
    promote(browser, second)

    assert Alias.objects.get().model_version == registry.champion(project) == second
    assert AuditEvent.objects.filter(verb="promote").latest("pk").data["before"] == "first"


def test_the_page_of_a_new_champion_offers_the_way_back(browser, project):
    first, second = weights(project, "first"), weights(project, "second")
    promote(browser, first)
    promote(browser, second)
    page = browser.get(f"/p/demo/models/{second.pk}/")

    assert page.context["previous"] == first
    promote(browser, page.context["previous"])
    assert registry.champion(project) == first


def test_a_model_known_by_its_answers_only_cannot_be_promoted(browser, project):
    assert promote(browser, make_model(project, "elsewhere")).status_code == 404


def local(settings, name="mine"):
    folder = settings.MODEL_ROOTS[0] / name
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


def register(browser, name, folder):
    return browser.post("/p/demo/models/register", {"name": name, "folder": str(folder)})


def test_a_folder_below_an_allowed_root_becomes_a_version(browser, project, settings):
    response = register(browser, "Mine", local(settings))

    version = ModelVersion.objects.get()
    assert response.url == f"/p/demo/models/{version.pk}/"
    assert (version.name, len(version.sha256)) == ("Mine", 64)


@pytest.mark.parametrize(
    "folder", ["/etc", "{root}/../elsewhere", "{root}/nothing", "{root}/empty"]
)
def test_any_other_folder_is_refused_at_its_field(browser, project, settings, folder):
    root = settings.MODEL_ROOTS[0]
    (root / "empty").mkdir(parents=True)
    response = register(browser, "Mine", folder.format(root=root))

    assert (response.status_code, list(response.context["form"].errors)) == (422, ["folder"])


def test_a_name_in_use_is_refused_at_its_field(browser, project, settings):
    make_model(None, "Base")
    response = register(browser, "Base", local(settings))

    assert list(response.context["form"].errors) == ["name"]


def test_the_list_shows_the_champion_and_links_to_sampling_with_it(browser, project):
    version = weights(project, "first")
    promote(browser, version)
    text = browser.get("/p/demo/models/").content.decode()

    assert 'class="alias">champion' in text
    assert f"/p/demo/jobs/new/sample/?model={version.pk}" in text


def test_fifty_versions_take_as_many_queries_as_one(
    browser, project, django_assert_max_num_queries
):
    for number in range(50):
        weights(project, f"model {number}")
    with django_assert_max_num_queries(12):
        browser.get("/p/demo/models/")


def test_every_version_is_on_some_page(browser, project):
    for number in range(51):
        weights(project, f"model {number}")

    pages = [browser.get(f"/p/demo/models/?page={n}").content.decode() for n in (1, 2)]
    assert "Page 1 of 2" in pages[0]
    assert all(any(f">model {number}</a>" in page for page in pages) for number in range(51))


def test_the_form_says_where_models_may_lie(browser, settings):
    assert str(settings.MODEL_ROOTS[0]) in browser.get("/p/demo/models/register").content.decode()


def test_another_projects_result_can_not_be_registered(tmp_path, settings):
    folder = tmp_path / "models" / "job-7-20260101000000"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").touch()

    with pytest.raises(registry.NotRegistered, match="A job made"):
        registry.register_local(None, make_project(), "mine", folder)


def test_a_file_is_not_said_to_be_missing(browser, project, settings):
    [root] = settings.MODEL_ROOTS
    root.mkdir()
    file = root / "model.safetensors"
    file.touch()
    form = {"name": "mine", "folder": str(file)}
    page = browser.post("/p/demo/models/register", form).content.decode()

    assert f"{file} is a file: name the folder in which it lies." in page
