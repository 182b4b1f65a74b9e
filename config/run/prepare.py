"""Update the data folder: back up and migrate the database, collect static files, and create the
rows of a first run. Each step does nothing where nothing has changed.
"""

from __future__ import annotations

import hashlib
import os
import sys

import django
from django.conf import settings
from django.core.management import call_command
from django.db import OperationalError, connection
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader

from config.celery import app as celery_app
from config.run.checks import CannotStart

OWN_APPS = ("people", "modelops", "labeling")


def refuse_newer_database() -> None:
    """Raises CannotStart where a newer version of Podium has migrated the database."""
    loader = MigrationLoader(connection)
    unknown = sorted(
        f"{app}.{name}"
        for app, name in loader.applied_migrations
        if app in OWN_APPS and (app, name) not in loader.disk_migrations
    )
    if unknown:
        raise CannotStart(
            f"A newer version of Podium has changed this database ({', '.join(unknown)}): update "
            "this host, or restore the backup that was made before."
        )


def migrate() -> None:
    """Apply new migrations, after a backup of an existing database."""
    executor = MigrationExecutor(connection)
    if not executor.migration_plan(executor.loader.graph.leaf_nodes()):
        return
    if executor.loader.applied_migrations:
        print("Backing up the database before the migration ...", flush=True)
        call_command("backup", "--database-only")
    print("Preparing the database ...", flush=True)
    call_command("migrate", interactive=False, verbosity=0)


def collect_static() -> None:
    """Collect and compress the static files, if one of them has changed."""
    from django.contrib.staticfiles.finders import get_finders

    digest = hashlib.sha256(django.__version__.encode())
    for finder in get_finders():
        for name, storage in finder.list(["CVS", ".*", "*~"]):
            state = os.stat(storage.path(name))
            digest.update(f"{name}\0{state.st_size}\0{state.st_mtime_ns}\n".encode())
    mark = settings.STATIC_ROOT / ".gathered"
    if mark.exists() and mark.read_text() == digest.hexdigest():
        return
    print("Collecting the static files ...", flush=True)
    call_command("collectstatic", interactive=False, verbosity=0)
    mark.write_text(digest.hexdigest())


def main() -> None:
    django.setup()
    from people import installation  # needs Django's setup

    try:
        refuse_newer_database()
        migrate()
        installation.check_key()
    except (CannotStart, installation.OtherKey) as error:
        sys.exit(str(error))
    except OperationalError as error:
        sys.exit(
            f"The database can't be used. Check DATABASE_URL: {str(error).strip().splitlines()[0]}"
        )
    if settings.STORE:
        call_command("fill_store")
    if "web" in settings.ROLES:
        collect_static()
    # The broker isn't running yet. Workers check the table of jobs when they start.
    celery_app.conf.broker_url = "memory://localhost/"
    if {"sampling", "training"} & set(settings.ROLES):  # the default model is on such a host
        call_command("first_run")


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    main()
