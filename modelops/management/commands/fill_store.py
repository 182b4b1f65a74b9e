"""`manage.py fill_store`: bring datasets and models of this data folder into PODIUM_STORE."""

from django.core.management.base import BaseCommand, CommandError

from modelops import datasets, registry, store


class Command(BaseCommand):
    help = (
        "Bring datasets and models that lie in this data folder into the store that PODIUM_STORE "
        "names, so that other hosts can read them. `make up` does so at every start; twice is "
        "harmless."
    )

    def handle(self, **options) -> None:
        try:
            moved, models = datasets.fill_store(), registry.fill_store()
        except store.StoreFault as error:
            raise CommandError(str(error)) from error
        if moved:
            self.stdout.write(f"Brought {moved} datasets into the store.")
        if models:
            self.stdout.write(f"Brought {models} models into the store.")
