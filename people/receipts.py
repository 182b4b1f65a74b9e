"""A form that arrives twice counts once."""

from collections.abc import Callable
from uuid import UUID

from django.db import transaction

from people.models import Receipt, User


def once(user: User, key: UUID, verb: Callable[[], dict]) -> tuple[dict, bool]:
    """What `verb` returned for this key, and whether it ran just now.

    `verb` runs in a transaction that holds the receipt, so that two copies of a form sent at the same time wait for
    each other; when it raises, nothing is kept and the same key may be tried again.
    """
    with transaction.atomic():
        receipt, fresh = Receipt.objects.get_or_create(user=user, key=key)
        if fresh:
            receipt.result = verb()
            receipt.save(update_fields=["result"])
    return receipt.result, fresh
