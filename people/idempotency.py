"""A form that arrives twice counts once."""

from collections.abc import Callable
from uuid import UUID

from django.db import transaction

from people.db.compiled import composed, insert_once, update
from people.models import Receipt, User


def once(user: User, key: UUID, verb: Callable[[], dict]) -> tuple[dict, bool]:
    """What `verb` returned for this key, and whether it ran just now.

    `verb` runs in a transaction that holds the receipt, so that two copies of a form sent at the
    same time wait for each other; when it raises, nothing is kept and the same key may be tried
    again.
    """
    with transaction.atomic():
        if not insert_once(Receipt(user=user, key=key)):
            return Receipt.objects.get(user=user, key=key).result, False
        result = verb()
        if result:
            _keep(user.pk, key, result)
    return result, True


@composed
def _keep(user, key, result):
    return update(Receipt.objects.filter(user=user, key=key), result=result)
