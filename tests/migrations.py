"""The database as an earlier migration left it, for tests of data migrations.

Such a test is marked `django_db(transaction=True)`: SQLite changes tables outside transactions.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from django.apps.registry import Apps
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader


def migrate(*targets: tuple[str, str]) -> Apps:
    """Migrate to these (app, migration), forward or back; returns the models of all apps as they
    are there.
    """
    MigrationExecutor(connection).migrate(list(targets))
    loader = MigrationLoader(connection)
    return loader.project_state(list(loader.applied_migrations)).apps


@contextmanager
def migrated_back(*targets: tuple[str, str]) -> Iterator[Apps]:
    """The models as they were at these migrations; afterwards all migrations are applied again."""
    try:
        yield migrate(*targets)
    finally:
        executor = MigrationExecutor(connection)
        executor.migrate(executor.loader.graph.leaf_nodes())
