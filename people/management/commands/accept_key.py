"""`manage.py accept_key`: accept a secret key that was changed on purpose."""

from __future__ import annotations

from django.core.management.base import BaseCommand

from people import installation


class Command(BaseCommand):
    help = (
        "Accept a secret key that was changed on purpose. Sessions end, secrets of webhooks and "
        "links in e-mails change, and authors of new imports get other hashes."
    )

    def handle(self, **options) -> None:
        if installation.accept_key():
            self.stdout.write(
                "The database belongs to this secret key now. Everybody has to log in again, and "
                "each webhook has a new secret."
            )
        else:
            self.stdout.write("The database already belongs to this secret key.")
