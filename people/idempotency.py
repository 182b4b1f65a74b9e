"""Idempotency: a form or request that is sent twice takes effect once."""

from collections.abc import Callable
from uuid import UUID

from django.db import transaction

from people.db.compiled import compiled, insert_once, update
from people.models import Receipt, User


def once(user: User, key: UUID, action: Callable[[], dict]) -> tuple[dict, bool]:
    """Run `action` once per idempotency key. Returns its result, and whether it ran in this call.

    The receipt is inserted in the same transaction, so that a concurrent second request waits for
    the first. If `action` raises, nothing is saved and the key may be used again.
    """
    with transaction.atomic():
        if not insert_once(Receipt(user=user, key=key)):
            return Receipt.objects.get(user=user, key=key).result, False
        result = action()
        if result:
            _keep(user.pk, key, result)
    return result, True


@compiled
def _keep(user: int, key: UUID, result: dict):
    return update(Receipt.objects.filter(user=user, key=key), result=result)
