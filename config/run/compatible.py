"""Which migrations the code before them survives: `make reload` applies only these while it runs.

Old code writes rows without new columns, and reads columns that a later version no longer has. So a
migration may add what may be empty, and drop only what the version before it did not use.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Any

from django.db import connection, models
from django.db.migrations import Migration, operations
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

HARMLESS = (
    operations.CreateModel,
    operations.AddIndex,
    operations.RemoveIndex,
    operations.RenameIndex,
    operations.RemoveConstraint,
    operations.AlterModelOptions,
    operations.AlterModelManagers,
    operations.AlterModelTableComment,
)
REMOVALS = {
    operations.RemoveField: "removes a field",
    operations.RenameField: "renames a field",
    operations.DeleteModel: "removes a table",
    operations.RenameModel: "renames a table",
    operations.AlterModelTable: "renames a table",
}


def pending() -> list[str]:
    """Why the migrations that this database lacks can't be applied while old code runs."""
    executor = MigrationExecutor(connection)
    state = executor.loader.project_state(list(executor.loader.applied_migrations))
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return [reason for migration, _backwards in plan for reason in reasons(migration, state)]


def reasons(migration: Migration, state: ProjectState) -> list[str]:
    """Why old code does not survive this migration; none if it does. `state` moves past it.

    A migration whose steps only their author can judge (RunPython, a constraint) says why old code
    survives it: `old_code_survives = "..."`. Of a removal it can't. `needs_stop = "..."` says why
    it does not.
    """
    judged = bool(getattr(migration, "old_code_survives", ""))
    found = []
    if why := getattr(migration, "needs_stop", ""):
        found.append(f"{migration.app_label}.{migration.name} needs it: {why}")
    for operation in migration.operations:
        for reason, can_be_judged in _reasons(operation, migration.app_label, state):
            if not (judged and can_be_judged):
                found.append(f"{migration.app_label}.{migration.name} {reason}")
        operation.state_forwards(migration.app_label, state)
    return found


def _reasons(operation: Operation, app: str, state: ProjectState) -> Iterator[tuple[str, bool]]:
    """Why old code may not survive the operation, and whether its author may say that it does."""
    what = f"({operation.describe()})"
    if isinstance(operation, operations.SeparateDatabaseAndState):
        for part in operation.database_operations:
            yield from _reasons(part, app, state)
    elif isinstance(operation, operations.AddField):
        if not _may_be_left_out(operation.field):
            yield f"adds a column that old code does not fill {what}", False
    elif isinstance(operation, operations.AlterField):
        if reason := _narrows(operation, app, state):
            yield f"{reason} {what}", True
    elif type(operation) in REMOVALS:
        yield f"{REMOVALS[type(operation)]} that old code uses {what}", False
    elif not isinstance(operation, HARMLESS):
        yield f"does what old code may not survive {what}", True


def _may_be_left_out(field: Any) -> bool:
    """Whether a row can be inserted without the field. Django's own `default` is no help: only new
    code knows it.
    """
    return field.many_to_many or field.null or field.db_default is not models.NOT_PROVIDED


def _narrows(operation: Any, app: str, state: ProjectState) -> str:
    """What the changed column no longer takes of old code; nothing if it takes all."""
    old = state.models[app, operation.model_name_lower].fields[operation.name]
    new = operation.field
    if old.null and not new.null:
        return "forbids a column to be empty"
    if new.unique and not old.unique:
        return "forbids equal values"
    lost = old.db_default is not models.NOT_PROVIDED and not _may_be_left_out(new)
    if lost:
        return "takes a default from a column"
    if type(old) is not type(new) or (old.db_column or "") != (new.db_column or ""):
        return "changes a column's type or name"
    if (new.max_length or 0) and (new.max_length < (old.max_length or 2**31)):
        return "shortens a column"
    return ""


def main() -> None:
    import django

    django.setup()
    if found := pending():
        sys.exit("Old code would not survive:\n" + "\n".join(found))
    print("Old code survives the migrations that this database lacks.")


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    main()
