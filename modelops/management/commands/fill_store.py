"""`manage.py fill_store`: bring datasets that lie in this data folder into PODIUM_STORE."""

from django.core.management.base import BaseCommand, CommandError

from modelops import datasets, store


class Command(BaseCommand):
    help = (
        "Bring the datasets that lie in this data folder into the store that PODIUM_STORE names, "
        "so that other hosts can read them. `make up` does so at every start; twice is harmless."
    )

    def handle(self, **options) -> None:
        try:
            moved = datasets.fill_store()
        except store.StoreFault as error:
            raise CommandError(str(error)) from error
        if moved:
            self.stdout.write(f"Brought {moved} datasets into the store.")
