"""A form that arrives twice counts once."""

from collections.abc import Callable
from uuid import UUID

from django.db import IntegrityError, transaction

from people.models import Receipt, User


def once(user: User, key: UUID, verb: Callable[[], dict]) -> tuple[dict, bool]:
    """What `verb` returned for this key, and whether it ran just now.

    `verb` runs in a transaction that holds the receipt, so that two copies of a form sent at the same time wait for
    each other; when it raises, nothing is kept and the same key may be tried again.
    """
    with transaction.atomic():
        receipt, fresh = _receipt(user, key)
        if fresh:
            receipt.result = verb()
            receipt.save(update_fields=["result"])
    return receipt.result, fresh


def _receipt(user: User, key: UUID) -> tuple[Receipt, bool]:
    """The receipt, and whether it is a new one: nearly always it is, so that nothing is looked up first."""
    try:
        with transaction.atomic():
            return Receipt.objects.create(user=user, key=key), True
    except IntegrityError:
        return Receipt.objects.get(user=user, key=key), False
