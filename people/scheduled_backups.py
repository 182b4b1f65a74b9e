"""Backups by PODIUM_BACKUP_CRON: written, read again, and the oldest deleted.

What came of each is in the audit log, and a failed one in /healthz until the next one succeeds.
"""

from __future__ import annotations

import logging
from pathlib import Path

from django.conf import settings
from django.core.cache import cache

from people import audit, backups
from people.db.clock import now
from people.models import AuditEvent, Installation

WRITTEN, FAILED = "back up", "fail to back up"
log = logging.getLogger(__name__)


def run() -> None:
    """Once, however many hosts are told at the same time."""
    if not cache.add(f"backup-{now():%Y%m%d%H%M}", True, 3600):
        return
    try:
        file = _write()
    except (backups.BackupFailed, OSError) as error:
        log.error("The scheduled backup failed: %s", error)
        audit.record(None, FAILED, Installation(Installation.ONLY), reason=str(error))
        return
    about = {"file": file.name, "bytes": file.stat().st_size}
    audit.record(None, WRITTEN, Installation(Installation.ONLY), **about)
    for old in sorted(settings.BACKUP_FOLDER.glob("scheduled-*.tar"))[: -settings.BACKUPS_KEPT]:
        old.unlink(missing_ok=True)


def _write() -> Path:
    """A new backup, compared with what was written. Raises BackupFailed and OSError."""
    file = settings.BACKUP_FOLDER / backups.default_file("scheduled").name
    written = backups.write(file)
    try:
        backups.try_out(file)
    except backups.BackupFailed:  # not among those that are kept, or it would push out a good one
        file.rename(file.with_name(f"damaged-{file.name}"))
        raise
    if written.missing:
        raise backups.BackupFailed(
            f"{file.name} lacks what is gone from the data folder: {', '.join(written.missing)}."
        )
    return file


def state() -> str:
    """What is wrong with the last backup, or "ok"."""
    last = AuditEvent.objects.filter(project=None, verb__in=[WRITTEN, FAILED]).order_by("-at")
    event = last.first()
    if event is None or event.verb == WRITTEN:
        return "ok"
    return f"failed at {event.at:%Y-%m-%d %H:%M} UTC: see the audit log"
