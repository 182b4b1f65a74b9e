"""Retention: delete old receipts, webhook deliveries, letters, sessions and pre-upgrade backups."""

from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.sessions.models import Session
from django.db.models import QuerySet
from django.utils.timezone import now

from people.models import Delivery, Letter, Receipt

BATCH = 500  # rows per DELETE, so that other writers don't wait for long
KEPT_BACKUPS = 5  # of the database backups that are made before upgrades


def long_ago() -> datetime:
    """Rows that were created earlier are deleted."""
    return now() - timedelta(days=settings.KEEP_DAYS)


def forget() -> None:
    """Delete everything older than its retention period. May be called any number of times."""
    delete(Receipt.objects.filter(created_at__lt=long_ago()))
    delete(Delivery.objects.filter(created_at__lt=long_ago()))
    delete(Letter.objects.filter(created_at__lt=long_ago()))
    delete(Session.objects.filter(expire_date__lt=now()))
    backups = sorted((settings.VAR / "backups").glob("database-*.tar"))  # oldest first, by name
    for backup in backups[:-KEPT_BACKUPS]:
        backup.unlink(missing_ok=True)


def delete(rows: QuerySet) -> None:
    """Delete all rows, in batches."""
    while pks := list(rows.values_list("pk", flat=True)[:BATCH]):
        rows.filter(pk__in=pks).delete()
