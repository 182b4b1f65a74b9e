"""Backups by PODIUM_BACKUP_CRON: written, read again, pruned, and a failed one is seen."""

import json
import shutil
import tarfile
from datetime import timedelta

import pytest
from django.core.cache import cache
from django.core.exceptions import ImproperlyConfigured
from django.db import connection
from django.test import Client

from config import environment, health
from modelops import liveness
from people import backups, scheduled_backups
from people.db import clock
from people.models import AuditEvent
from tests.config.test_health import ALL, Broker
from workers.queues import back_up

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(
        connection.vendor == "postgresql" and not shutil.which("pg_dump"), reason="no pg_dump"
    ),
]


@pytest.fixture(autouse=True)
def folder(settings, tmp_path, monkeypatch):
    """Where they go; each is another minute's."""
    cache.clear()
    settings.BACKUP_FOLDER, settings.BACKUP_CRON = tmp_path / "elsewhere", "0 3 * * *"
    minutes = iter(range(100))
    start = clock.now()
    later = lambda: start + timedelta(minutes=next(minutes))  # noqa: E731
    monkeypatch.setattr(scheduled_backups, "now", later)
    return settings.BACKUP_FOLDER


def events() -> list[str]:
    chosen = AuditEvent.objects.filter(verb__endswith="back up").order_by("pk")
    return list(chosen.values_list("verb", flat=True))


def test_one_is_written_and_said(folder):
    back_up()

    [file] = folder.iterdir()
    assert backups.try_out(file).files["database"]
    [event] = AuditEvent.objects.filter(verb="back up")
    assert event.data == {"file": file.name, "bytes": file.stat().st_size}


def test_hosts_that_are_told_at_the_same_time_write_one(folder, monkeypatch):
    at = clock.now()
    monkeypatch.setattr(scheduled_backups, "now", lambda: at)
    for _host in range(2):
        back_up()

    assert events() == ["back up"]


def test_the_newest_stay_and_what_somebody_wrote_by_hand(folder, settings):
    settings.BACKUPS_KEPT = 2
    folder.mkdir()
    names = ("scheduled-20200101-030000", "scheduled-20200102-030000", "podium-20200101-000000")
    for name in names:
        (folder / f"{name}.tar").touch()
    back_up()

    left = sorted(file.name for file in folder.iterdir())
    assert left[:2] == ["podium-20200101-000000.tar", "scheduled-20200102-030000.tar"]
    assert len(left) == 3


def test_a_failed_one_is_seen_until_one_succeeds(folder, monkeypatch):
    monkeypatch.setattr(liveness, "broker", Broker)
    monkeypatch.setattr(liveness, "alive", lambda client: ALL)

    def damaged(file):
        raise backups.BackupFailed("rows.jsonl in the backup is damaged.")

    assert healthz() == (200, "ok")
    with monkeypatch.context() as patch:
        patch.setattr(backups, "try_out", damaged)
        back_up()
    status, backup = healthz()
    assert (status, backup[:9]) == (503, "failed at")
    [file] = folder.iterdir()
    assert file.name.startswith("damaged-scheduled-")
    back_up()
    assert healthz() == (200, "ok")
    assert events() == ["fail to back up", "back up"]


def healthz() -> tuple[int, str]:
    response = Client().get("/healthz")
    return response.status_code, response.json()["backup"]


def test_without_a_schedule_health_does_not_ask(settings):
    settings.BACKUP_CRON = ""
    assert "backup" not in health._checked(**health._parts())


def test_what_the_database_knows_and_is_gone_fails_it(folder, monkeypatch):
    lacking = backups.Written(missing=["the model assistant 1"], elsewhere=0)
    write = backups.write
    monkeypatch.setattr(backups, "write", lambda file: write(file) and lacking)
    back_up()

    [event] = AuditEvent.objects.filter(verb="fail to back up")
    assert event.data["reason"].endswith("gone from the data folder: the model assistant 1.")


def test_a_full_disk_fails_it(folder, monkeypatch):
    folder.parent.mkdir(exist_ok=True)
    folder.touch()  # a file where the folder should be
    back_up()

    assert events() == ["fail to back up"]


def test_a_damaged_file_is_found(folder, tmp_path, settings):
    back_up()
    [file] = folder.iterdir()
    with tarfile.open(file) as tar:
        contents = json.load(tar.extractfile("contents.json"))
        place = tar.getmember("database").offset_data
    with open(file, "r+b") as raw:
        raw.seek(place + 200)
        raw.write(b"x" * 50)

    assert "database" in contents["files"]
    with pytest.raises(backups.BackupFailed, match="database in the backup is damaged"):
        backups.try_out(file)


@pytest.mark.parametrize("text", ["x", "0 3 * *", "99 3 * * *", "0 3 * * 9"])
def test_a_schedule_that_is_none_is_refused(text):
    with pytest.raises(ImproperlyConfigured, match="^PODIUM_BACKUP_CRON: .* is not five fields"):
        environment.cron("PODIUM_BACKUP_CRON", text)
