"""What all hosts of an installation share: one secret key, whose fingerprint the database keeps.

Hosts with different keys log out each other's people, and sign webhooks and hash authors
differently.
"""

from __future__ import annotations

from django.conf import settings
from django.db import transaction
from django.utils.crypto import salted_hmac

from people import audit
from people.models import Installation


class OtherKey(Exception):
    """The database belongs to another secret key. The text says what to do."""


def fingerprint() -> str:
    """Of this process's secret key, in hexadecimal. The key can't be computed from it."""
    digest = salted_hmac("installation", "key", secret=settings.SECRET_KEY, algorithm="sha256")
    return digest.hexdigest()


def check_key() -> None:
    """Raises OtherKey unless the database belongs to this secret key. The first key is stored."""
    installation, _created = Installation.objects.get_or_create(
        pk=Installation.ONLY, defaults={"key_fingerprint": fingerprint()}
    )
    if installation.key_fingerprint != fingerprint():
        raise OtherKey(
            "This database was made with another secret key: set PODIUM_SECRET_KEY (or the file "
            "`secret` in the data folder) to the key of the other hosts, or, if the key was "
            "changed on purpose, run `manage.py accept_key`."
        )


@transaction.atomic
def accept_key() -> bool:
    """Let the database belong to this secret key from now on. False where it already does."""
    installation, created = Installation.objects.select_for_update().get_or_create(
        pk=Installation.ONLY, defaults={"key_fingerprint": fingerprint()}
    )
    if created or installation.key_fingerprint == fingerprint():
        return False
    installation.key_fingerprint = fingerprint()
    installation.save(update_fields=["key_fingerprint"])
    audit.record(None, "accept another secret key", installation)
    return True
