"""The hourly clean-up: what nobody needs any more goes, what somebody may still ask for stays."""

import os
from datetime import timedelta
from uuid import uuid4

import pytest
from django.contrib.sessions.models import Session
from django.utils.timezone import now

from labeling.imports import kept
from modelops import jobs
from modelops.models import Job
from people.models import Receipt
from workers.queues import tidy

pytestmark = pytest.mark.django_db


def a_file(path, days: int):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("rows")
    at = (now() - timedelta(days=days)).timestamp()
    os.utime(path, (at, at))
    return path


def test_receipts_are_kept_for_as_long_as_the_setting_says(carol, settings):
    settings.KEEP_DAYS = 10
    ages = {
        days: Receipt.objects.create(
            user=carol, key=uuid4(), created_at=now() - timedelta(days=days)
        )
        for days in (9, 11)
    }
    tidy()
    assert list(Receipt.objects.all()) == [ages[9]]


def test_many_old_receipts_go_in_several_writes(carol, monkeypatch):
    monkeypatch.setattr("people.retention.BATCH", 2)
    old = now() - timedelta(days=400)
    Receipt.objects.bulk_create(Receipt(user=carol, key=uuid4(), created_at=old) for _ in range(5))
    tidy()
    assert not Receipt.objects.exists()


def test_ended_sessions_go_and_the_others_stay():
    for key, hours in (("ended", -1), ("open", 1)):
        Session.objects.create(
            session_key=key, session_data="", expire_date=now() + timedelta(hours=hours)
        )
    tidy()
    assert [one.session_key for one in Session.objects.all()] == ["open"]


def test_an_old_upload_goes_with_the_rows_that_were_left_out_unless_a_job_waits_for_it(
    project, carol, settings
):
    old, waiting, new = (
        a_file(settings.VAR / "uploads" / name, days)
        for name, days in (("aa", 31), ("bb", 31), ("cc", 29))
    )
    bad = a_file(settings.VAR / "uploads" / "aa.7.bad.jsonl", 31)
    jobs.request(carol, project, Job.Kind.IMPORT, {"path": "uploads/bb", "filename": "b.jsonl"})

    tidy()

    assert [path.exists() for path in (old, bad, waiting, new)] == [False, False, True, True]


def test_an_old_upload_of_several_files_goes_whole(settings, db):
    a_file(settings.VAR / "uploads" / "dd" / "one.json", 40)
    at = (now() - timedelta(days=40)).timestamp()
    os.utime(settings.VAR / "uploads" / "dd", (at, at))
    tidy()
    assert not (settings.VAR / "uploads" / "dd").exists()


def test_files_made_for_downloads_go_when_they_are_old(settings, db):
    old, new = (
        a_file(settings.VAR / "renders" / "3" / name, days)
        for name, days in (("a.csv", 31), ("b.csv", 1))
    )
    tidy()
    assert [old.exists(), new.exists()] == [False, True]


def test_what_checks_have_kept_goes_when_it_is_old(settings, db):
    old, new = (
        a_file(settings.VAR / kept.FOLDER / name, days) for name, days in (("a", 31), ("b", 1))
    )
    tidy()
    assert [old.exists(), new.exists()] == [False, True]


def test_what_a_killed_comparison_left_goes_with_them(settings, db):
    left = a_file(settings.VAR / "renders" / "3" / ".compare-x" / "rows", 31).parent
    at = (now() - timedelta(days=31)).timestamp()
    os.utime(left, (at, at))
    file = a_file(settings.VAR / "renders" / "4" / "a.csv", 31)
    tidy()
    assert [left.exists(), file.exists()] == [False, False]


def test_the_newest_copies_before_upgrades_stay_and_all_that_somebody_asked_for(settings, db):
    folder = settings.VAR / "backups"
    for month in range(1, 8):
        a_file(folder / f"database-20260{month}01-000000.tar", 300)
    asked = a_file(folder / "podium-20250101-000000.tar", 600)
    tidy()
    assert [path.name[9:15] for path in sorted(folder.glob("database-*"))] == [
        "202603",
        "202604",
        "202605",
        "202606",
        "202607",
    ]
    assert asked.exists()


def test_a_model_that_was_never_pulled_whole_goes(settings):
    models = settings.VAR / "models"
    old = a_file(models / ".pull-7" / "model.safetensors.part", 90)
    new = a_file(models / ".pull-8" / "model.safetensors.part", 0)
    made = a_file(models / "job-6" / "model.safetensors", 90)
    for file in (old, made):
        os.utime(file.parent, (file.stat().st_mtime, file.stat().st_mtime))
    tidy()

    assert [file.exists() for file in (old, new, made)] == [False, True, True]
    assert not old.parent.exists()
