"""What no row refers to leaves the store after a day; what a row refers to never does."""

import os
from datetime import timedelta

import pytest
from django.apps import apps
from django.core.management import call_command
from django.template.defaultfilters import filesizeformat
from django.utils.timezone import now

from labeling import imports, retention
from modelops import datasets, registry, rows, store
from modelops.models import Dataset, Job
from tests.factories import make_job, make_project, register_model
from workers.queues import tidy

pytestmark = pytest.mark.django_db


def put(tmp_path, name: str, days: float = 2) -> str:
    """Something in the store, put there so long ago."""
    (tmp_path / name).write_text(name)
    return older(store.put(tmp_path / name), days)


def older(digest: str, days: float = 2) -> str:
    at = (now() - timedelta(days=days)).timestamp()
    os.utime(store.get(digest).with_name("complete.json"), (at, at))
    return digest


def held() -> set[str]:
    return {digest for digest, _stored_at, _size in store.entries()}


def make_import(stored: str, days: int, state="done", left_out: str = "") -> Job:
    at = now() - timedelta(days=days)
    fields = {"recipe": {"path": "uploads/x", "stored": stored}, "state": state}
    result = {imports.BAD_ROWS: left_out} if left_out else {}
    return make_job(
        make_project(slug=f"of-{stored[:8]}"),
        "import",
        created_at=at,
        finished_at=at if state == "done" else None,
        result=result,
        **fields,
    )


def test_what_rows_refer_to_stays_and_the_rest_goes(tmp_path, settings):
    project = make_project()
    settings.KEEP_DAYS = 30
    line = rows.canonical({"text": "Text", "split": "train"})
    dataset, _new = datasets.register(
        project, Dataset.Kind.TEXT, *datasets.write([line], Dataset.Kind.TEXT)
    )
    version = register_model(project, tmp_path / "model")
    used = [older(store.digest_of(place)) for place in (dataset.folder, version.folder)]
    recent, waiting, old, left_out, nobody = (put(tmp_path, name, 40) for name in "abcde")
    make_import(recent, days=3, left_out=left_out)
    make_import(waiting, days=40, state="queued")
    make_import(old, days=40)
    new, newer = (put(tmp_path, f"{days}", days) for days in (0.9, 20))
    tidy()
    assert held() == {*used, recent, waiting, left_out, new, newer}

    retention.collect(retention.uncollected())
    assert held() == {*used, recent, waiting, left_out, new}
    assert registry.verified(version).is_dir()


def test_a_withdrawn_dataset_is_collected_if_its_files_could_not_be_deleted_at_once(tmp_path):
    project = make_project()
    line = rows.canonical({"text": "Text", "split": "train"})
    dataset, _new = datasets.register(
        project, Dataset.Kind.TEXT, *datasets.write([line], Dataset.Kind.TEXT)
    )
    digest = older(store.digest_of(dataset.folder))
    datasets.withdraw(None, dataset, "why")
    assert held() == {digest}, "tests end in no commit, which deletes them"

    tidy()
    assert held() == set()


def test_what_is_stored_again_meanwhile_stays(tmp_path):
    digest = put(tmp_path, "a")
    found = retention.uncollected()
    assert store.put(tmp_path / "a") == digest
    assert retention.collect(found) == []

    assert held() == {digest}


def test_the_command_lists_sizes_and_deletes(tmp_path, capsys):
    digest = put(tmp_path, "a")
    size = filesizeformat(1 + store.get(digest).with_name("complete.json").stat().st_size)
    for options, left, done in (
        ({"dry_run": True}, {digest}, f"1 entries, {size}, would be deleted."),
        ({}, set(), f"1 entries, {size}, deleted."),
        ({}, set(), "0 entries, 0\xa0bytes, deleted."),
    ):
        call_command("collect", **options)
        assert capsys.readouterr().out.splitlines()[-1] == done
        assert held() == left


def test_what_an_unfinished_put_has_left_goes(settings):
    left = settings.VAR / "store" / ".new-abc" / "data"
    left.mkdir(parents=True)
    at = (now() - timedelta(days=2)).timestamp()
    os.utime(left.parent, (at, at))
    call_command("collect")

    assert not left.parent.exists()


def test_every_field_that_holds_a_place_is_asked():
    fields = {
        f"{model.__name__}.{field.name}"
        for model in apps.get_models()
        for field in model._meta.get_fields()
        if field.name == "folder" or "data folder" in str(getattr(field, "help_text", ""))
    }
    assert fields == {"Dataset.folder", "ModelVersion.folder"}, "retention.referred() asks these"


def test_scratch_of_killed_processes_goes_after_a_day(settings):
    old, new = [], []
    scratch = (".rows-a", ".reading-a", ".restore-a", "datasets/.sort-a", "uploads/.arriving-a")
    for name in scratch:
        for group, days in ((old, 2), (new, 0.5)):
            folder = settings.VAR / f"{name}{days}"
            folder.mkdir(parents=True)
            at = (now() - timedelta(days=days)).timestamp()
            os.utime(folder, (at, at))
            group.append(folder)
    tidy()

    assert [folder.exists() for folder in old + new] == [False] * 5 + [True] * 5


def test_scratch_that_is_written_to_stays(settings):
    folder = settings.VAR / "datasets" / ".sort-a"
    folder.mkdir(parents=True)
    (folder / "items").write_text("now")
    at = (now() - timedelta(days=2)).timestamp()
    os.utime(folder, (at, at))
    tidy()

    assert folder.exists()


def test_checkpoints_of_trainings_that_ended_long_ago_go(settings):
    settings.KEEP_DAYS = 30
    project, kept = make_project(), {}
    for state, days in (("failed", 40), ("failed", 10), ("queued", 40)):
        at = now() - timedelta(days=days)
        ended = {"finished_at": at, "error": "why"} if state == "failed" else {}
        job = make_job(project, "reward", state=state, created_at=at, **ended)
        folder = settings.VAR / "runs" / f"{job.pk}-20260101000000"
        folder.mkdir(parents=True)
        old = (now() - timedelta(days=40)).timestamp()
        os.utime(folder, (old, old))
        kept[folder] = (state, days) != ("failed", 40)
    tidy()

    assert {folder: folder.exists() for folder in kept} == kept
