"""A model version that one host registered is there, as it was, on every host that has the same
store.
"""

import json
import shutil

import pytest
from django.core.management import call_command

from modelops import jobs, registry, store
from modelops.models import ModelVersion
from modelops.stores import bucket as buckets
from modelops.stores import cache
from people import backups
from tests.factories import make_job, make_model, make_project
from tests.modelops.test_store import make_folder, read
from workers import model_files, training_job

pytestmark = pytest.mark.django_db
FILES = {
    "model.safetensors": bytes(range(256)) * 40,
    "config.json": b"{}",
    "adapter/adapter_model.safetensors": b"a",
}


@pytest.fixture
def version(hosts, settings):
    """Registered on one host; the test is on another one."""
    settings.VAR = hosts[0]
    folder = make_folder(hosts[0] / "made", FILES)
    version = registry.register(make_project(), "policy", "assistant 1", folder)
    shutil.rmtree(folder)
    store.release()
    settings.VAR = hosts[1]
    return version


def test_another_host_has_its_files(version, settings, tmp_path):
    made = make_folder(tmp_path / "made again", FILES)

    assert read(registry.path(version)) == read(registry.verified(version)) == FILES
    assert version.sha256 == registry.artifact_digest(made)
    assert str(tmp_path) not in version.folder


@pytest.mark.parametrize("name", FILES)
def test_a_changed_file_is_named_and_the_job_fails(settings, tmp_path, name):
    version = registry.register(
        make_project(), "policy", "assistant 1", make_folder(tmp_path / "made", FILES)
    )
    file = registry.path(version) / name
    file.unlink()
    file.write_bytes(b"other")

    with pytest.raises(jobs.JobFailed, match=f"^assistant 1 can't be loaded: {name} is not what"):
        model_files.verified(make_job(version.project), version)


@pytest.mark.parametrize("change", ["added", "gone"])
def test_an_added_or_missing_file_is_named(settings, tmp_path, change):
    version = registry.register(
        make_project(), "policy", "assistant 1", make_folder(tmp_path / "made", FILES)
    )
    file = registry.path(version) / ("chat_template.jinja" if change == "added" else "config.json")
    file.touch() if change == "added" else file.unlink()

    with pytest.raises(jobs.JobFailed, match=f"{file.name} (was added to|is gone from) what"):
        model_files.verified(make_job(version.project), version)


def test_what_was_changed_in_the_cache_of_a_host_is_fetched_again(bucket, tmp_path):
    folder = make_folder(tmp_path / "made", FILES)
    version = registry.register(make_project(), "policy", "assistant 1", folder)
    (registry.path(version) / "config.json").write_bytes(b"other")
    store.release()

    assert read(registry.verified(version)) == FILES


def test_one_of_several_that_a_job_uses_is_fetched_again_and_the_others_stay(bucket, tmp_path):
    one, two = (store.put(make_folder(tmp_path / name, {name: b"x"})) for name in ("one", "two"))
    store.get(one)
    (store.get(two) / "two").write_bytes(b"other")
    held = [lock for lock in cache._holds() if one in lock.name]
    store.verified(two)

    assert held[0] in cache._holds()
    assert not cache.drop(one)


@pytest.mark.parametrize("is_ours", [True, False])
def test_a_version_from_before_the_store_is_compared_too(settings, tmp_path, is_ours):
    place = "models/old" if is_ours else str(tmp_path / "elsewhere")
    folder = make_folder(settings.VAR / place, FILES)
    version = make_model(None, folder=place, sha256=registry.artifact_digest(folder))

    assert registry.verified(version) == folder
    (folder / "config.json").write_bytes(b"other")
    with pytest.raises(store.Damaged, match="not those that were registered"):
        registry.verified(version)


def test_models_from_before_the_store_are_brought_into_it(settings, tmp_path, capsys):
    made = make_folder(settings.VAR / "models" / "job-7-20260101000000", FILES)
    base = make_folder(tmp_path / "elsewhere" / "base", FILES | {"config.json": b"[]"})
    changed = make_folder(tmp_path / "elsewhere" / "changed", FILES)
    digest = registry.artifact_digest
    tuned = make_model(None, folder="models/job-7-20260101000000", sha256=digest(made))
    based = make_model(None, folder=str(base), sha256=digest(base))
    other = make_model(None, folder=str(changed), sha256="0" * 64)
    external = make_model(None)
    for said in ("Brought 2 models into the store.\n", ""):
        call_command("fill_store")
        assert capsys.readouterr().out == said

    assert not made.exists()
    assert base.exists()
    places = dict(ModelVersion.objects.values_list("pk", "folder"))
    assert (places[other.pk], places[external.pk]) == (str(changed), "")
    for version in (tuned, based):
        version.refresh_from_db()
        assert store.digest_of(version.folder)
        assert digest(registry.verified(version)) == version.sha256


def test_the_store_s_own_files_are_not_registered_once_more(settings, tmp_path):
    settings.MODEL_ROOTS = [tmp_path]
    project = make_project()
    folder = make_folder(tmp_path / "made", FILES)
    version = registry.register_local(None, project, "mine", folder)
    with pytest.raises(registry.NotRegistered, match="A job made"):
        registry.register_local(None, project, "again", registry.path(version))


def test_a_backup_holds_a_file_with_two_names_once(settings, tmp_path):
    folder = make_folder(settings.VAR / "models" / "base", FILES)
    version = registry.register(None, "policy", "base", folder)
    backups.write(tmp_path / "backup.tar")
    contents = backups.try_out(tmp_path / "backup.tar")
    stored = f"{version.folder}/model.safetensors"

    assert stored in contents.files
    assert contents.same["models/base/model.safetensors"] == stored
    assert not any(name.startswith("models/") for name in contents.files)
    with backups._extracted(tmp_path / "backup.tar") as (unpacked, _contents):
        assert read(unpacked / "models" / "base") == FILES


@pytest.mark.parametrize("name", ["../outside", "/outside"])
def test_a_backup_that_names_a_file_outside_of_it_is_refused(tmp_path, name):
    (tmp_path / "database").touch()
    contents = {"files": {}, "tables": {}, "same": {name: "database"}}
    (tmp_path / "contents.json").write_text(json.dumps(contents))
    with pytest.raises(backups.BackupFailed, match="which Podium never does"):
        backups._whole(tmp_path)
    assert not (tmp_path.parent / "outside").exists()


def test_a_full_store_fails_the_job_and_keeps_what_was_trained(settings, tmp_path, monkeypatch):
    job = make_job(make_project(), "reward")
    made = make_folder(training_job.home(job), FILES)

    def full(*about):
        raise store.Full("The store is full: make room there, then try again.")

    with monkeypatch.context() as patch:
        patch.setattr(store, "put", full)
        with pytest.raises(jobs.JobFailed, match="The store is full"):
            training_job.register(job)
    assert read(made) == FILES
    training_job.run(job, None)
    assert not made.exists()
    assert read(registry.path(ModelVersion.objects.get())) == FILES


def test_a_bucket_that_is_away_fails_the_job_with_words(bucket, tmp_path, monkeypatch):
    folder = make_folder(tmp_path / "made", FILES)
    version = registry.register(make_project(), "policy", "assistant 1", folder)

    def away(*about, **settings):
        raise buckets.BaseError("connection refused")

    monkeypatch.setattr(buckets.obstore, "get", away)
    with pytest.raises(jobs.JobFailed, match="assistant 1 can't be loaded: The store can't be"):
        model_files.verified(make_job(version.project), version)
