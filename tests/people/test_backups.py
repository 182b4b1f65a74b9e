"""Backup and restore: what comes back, what is refused, and that nothing is lost on the way."""

import io
import os
import shutil
import tarfile

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from config.run import checks
from modelops.models import Dataset
from people import backups
from people.models import Project
from tests.factories import make_project

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def var(tmp_path, settings):
    if connection.vendor == "postgresql" and not shutil.which("pg_dump"):
        pytest.skip("needs pg_dump")
    settings.VAR = tmp_path
    return tmp_path


def put(var, name, text):
    file = var / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_rows_and_files_come_back_as_they_were(var):
    Project.objects.create(slug="kept", name="Kept")
    put(var, "models/one/model.safetensors", "weights")
    put(var, "datasets/abc/rows.jsonl", "{}\n")
    put(var, "secret", "first")
    call_command("backup", var / "copy.tar")
    Project.objects.all().delete()
    Project.objects.create(slug="later", name="Later")
    put(var, "models/one/model.safetensors", "overwritten")
    put(var, "secret", "second")

    call_command("restore", var / "copy.tar")

    assert list(Project.objects.values_list("slug", flat=True)) == ["kept"]
    assert (var / "models/one/model.safetensors").read_text() == "weights"
    assert (var / "datasets/abc/rows.jsonl").read_text() == "{}\n"
    assert (var / "secret").read_text() == "first"


def test_what_is_restored_is_closed_to_other_accounts(var):
    put(var, "models/one/model.safetensors", "weights")
    (var / "models").chmod(0o755)
    (var / "models/one/model.safetensors").chmod(0o644)
    backups.write(var / "copy.tar")

    backups.restore(var / "copy.tar")

    files = [
        path
        for name in ("models", *backups.FILES)
        for path in (var / name, *(var / name).rglob("*"))
        if path.exists()
    ]
    assert [path for path in files if path.stat().st_mode & 0o077] == []


def test_what_was_there_is_kept_aside(var):
    put(var, "models/one/model.safetensors", "old")
    backups.write(var / "copy.tar")
    put(var, "models/one/model.safetensors", "new")

    aside = backups.restore(var / "copy.tar")

    assert (aside / "models/one/model.safetensors").read_text() == "new"
    assert any(path.is_file() for path in aside.iterdir())  # the database


def test_the_database_alone_leaves_files_alone(var):
    put(var, "models/one/model.safetensors", "weights")
    backups.write(var / "copy.tar", database_only=True)
    put(var, "models/one/model.safetensors", "newer")

    backups.restore(var / "copy.tar")

    assert (var / "models/one/model.safetensors").read_text() == "newer"


def test_a_backup_is_private_and_leaves_out_what_is_half_made(var):
    put(var, "models/.new-x/model.safetensors", "half")
    put(var, "models/one/model.safetensors", "whole")

    backups.write(var / "copy.tar")

    with tarfile.open(var / "copy.tar") as tar:
        assert [name for name in tar.getnames() if name.endswith("safetensors")] == [
            "models/one/model.safetensors"
        ]
    assert (var / "copy.tar").stat().st_mode & 0o077 == 0


def test_restore_refuses_while_podium_runs(var):
    backups.write(var / "copy.tar")
    checks.lock(var)

    with pytest.raises(CommandError, match="Stop it"):
        call_command("restore", var / "copy.tar")


@pytest.mark.parametrize("name", ["../outside", "/etc/outside", "models/../../outside"])
def test_restore_refuses_a_path_that_leads_outside(var, name):
    backups.write(var / "copy.tar")
    with tarfile.open(var / "copy.tar", "a") as tar:
        tar.addfile(tarfile.TarInfo(name), io.BytesIO())

    with pytest.raises(backups.BackupFailed, match="Nothing was restored"):
        backups.restore(var / "copy.tar")


def test_restore_refuses_a_link(var):
    backups.write(var / "copy.tar")
    with tarfile.open(var / "copy.tar", "a") as tar:
        link = tarfile.TarInfo("models/link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)

    with pytest.raises(backups.BackupFailed, match="Nothing was restored"):
        backups.restore(var / "copy.tar")


@pytest.mark.parametrize("content", [b"no tar", b""])
def test_restore_refuses_another_file(var, content):
    (var / "copy.tar").write_bytes(content)

    with pytest.raises(CommandError, match="copy.tar"):
        call_command("restore", var / "copy.tar")


def rewritten(tar_file, changed):
    """The backup with the entries of `changed` (name: new content, or None for none)."""
    other = tar_file.with_name("changed.tar")
    with tarfile.open(tar_file) as tar, tarfile.open(other, "w") as out:
        for entry in tar.getmembers():
            content = tar.extractfile(entry).read() if entry.isfile() else b""
            content = changed.get(entry.name, content)
            if content is not None:
                entry.size = len(content)
                out.addfile(entry, io.BytesIO(content))
    return other


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("models/one/model.safetensors", b"wEights", "model.safetensors in the backup is damaged"),
        ("models/one/model.safetensors", b"weight", "lacks models/one/model.safetensors"),
        ("models/one/model.safetensors", None, "lacks models/one/model.safetensors"),
        ("database", None, "lacks database"),
        ("database", b"junk", "lacks database"),
    ],
)
def test_a_backup_that_is_not_whole_replaces_nothing(var, name, content, says):
    put(var, "models/one/model.safetensors", "weights")
    put(var, "secret", "first")
    backups.write(var / "copy.tar")
    put(var, "secret", "second")
    damaged = rewritten(var / "copy.tar", {name: content})

    for command in (backups.restore, backups.try_out):
        with pytest.raises(backups.BackupFailed, match=says):
            command(damaged)
    assert (var / "secret").read_text() == "second"
    assert not list(var.glob(".restore-*"))


def test_a_junk_database_of_an_older_backup_is_refused(var):
    Project.objects.create(slug="kept", name="Kept")
    backups.write(var / "copy.tar")
    old = rewritten(var / "copy.tar", {"contents.json": None, "database": b"junk" * 2000})

    with pytest.raises(backups.BackupFailed):
        backups.restore(old)
    assert Project.objects.filter(slug="kept").exists()


def test_a_backup_can_be_tried_while_podium_runs(var, capsys):
    Project.objects.create(slug="kept", name="Kept")
    put(var, "models/one/model.safetensors", "weights")
    call_command("backup", var / "copy.tar")
    lock = checks.lock(var)

    try:
        call_command("restore", var / "copy.tar", "--try")
    finally:
        os.close(lock)
    assert "is whole" in capsys.readouterr().out
    assert not list(var.glob(".restore-*"))
    assert not list((var / "backups").glob("replaced-*"))


def test_what_rows_refer_to_and_is_gone_is_named(var):
    put(var, "datasets/here/rows.jsonl", "{}\n")
    project = make_project()
    for digest, folder in (("a" * 64, "datasets/here"), ("b" * 64, "datasets/gone")):
        Dataset.objects.create(project=project, kind="judgments", digest=digest, folder=folder)

    with pytest.raises(CommandError, match="gone from the data folder: the dataset bbbbbbbbbbbb"):
        call_command("backup", var / "copy.tar")
    backups.restore(var / "copy.tar")  # the rest is there


def test_what_is_in_a_store_elsewhere_is_counted(var, settings, capsys):
    settings.STORE = str(var / "elsewhere")
    Dataset.objects.create(
        project=make_project(), kind="judgments", digest="a" * 64, folder=f"store/{'a' * 64}/data"
    )

    call_command("backup", var / "copy.tar")
    assert "datasets and models in it: 1" in capsys.readouterr().out
