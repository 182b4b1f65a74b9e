"""What nobody needs any more is deleted: receipts, the logs of webhooks and e-mail, ended sessions,
and the copies made before upgrades.
"""

from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.sessions.models import Session
from django.db.models import QuerySet
from django.utils.timezone import now

from people.models import Delivery, Letter, Receipt

BATCH = 500  # rows of one write, so that nobody waits for it
UPGRADES = 5  # copies of the database made before an upgrade, of which the newest are kept


def long_ago() -> datetime:
    return now() - timedelta(days=settings.KEEP_DAYS)


def forget() -> None:
    """Delete what is past its time. Any number of calls is harmless."""
    delete(Receipt.objects.filter(created_at__lt=long_ago()))
    delete(Delivery.objects.filter(created_at__lt=long_ago()))
    delete(Letter.objects.filter(created_at__lt=long_ago()))
    delete(Session.objects.filter(expire_date__lt=now()))
    for copy in sorted((settings.VAR / "backups").glob("database-*.tar"))[
        :-UPGRADES
    ]:  # by their dates
        copy.unlink(missing_ok=True)


def delete(rows: QuerySet) -> None:
    """All of them, a batch at a time."""
    while found := list(rows.values_list("pk", flat=True)[:BATCH]):
        rows.filter(pk__in=found).delete()
