"""Bring the data folder up to date: back up before migrating, migrate, gather static files, create
what a first run needs. Every step looks first whether there is anything to do.
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

from config.celery import app as celery_app


def migrate() -> None:
    executor = MigrationExecutor(connection)
    if not executor.migration_plan(executor.loader.graph.leaf_nodes()):
        return
    if executor.loader.applied_migrations:
        print("Backing up the database before it is changed ...", flush=True)
        call_command("backup", "--database-only")
    print("Preparing the database ...", flush=True)
    call_command("migrate", interactive=False, verbosity=0)


def gather_static() -> None:
    """Gather and compress static files, when one of them changed."""
    from django.contrib.staticfiles.finders import get_finders

    found = hashlib.sha256(django.__version__.encode())
    for finder in get_finders():
        for name, storage in finder.list(["CVS", ".*", "*~"]):
            state = os.stat(storage.path(name))
            found.update(f"{name}\0{state.st_size}\0{state.st_mtime_ns}\n".encode())
    mark = settings.STATIC_ROOT / ".gathered"
    if mark.exists() and mark.read_text() == found.hexdigest():
        return
    print("Gathering the static files ...", flush=True)
    call_command("collectstatic", interactive=False, verbosity=0)
    mark.write_text(found.hexdigest())


def main() -> None:
    django.setup()
    try:
        migrate()
    except OperationalError as error:
        sys.exit(f"The database can't be used: {str(error).strip().splitlines()[0]}")
    gather_static()
    celery_app.conf.broker_url = (
        "memory://localhost/"  # the broker isn't up yet; workers look at the table when they start
    )
    call_command("first_run")


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    main()
